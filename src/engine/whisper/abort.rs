//! Stopping the encoder half-way.
//!
//! whisper.cpp asks its abort callback before and after the encoder, whose one graph takes up to seconds. ggml would ask
//! after every node of a graph, but whisper.cpp has no way to tell it whom. Before each graph it looks up the function
//! that sets the threads of a backend, though; here that function is replaced by one that also says whom to ask.

use super::Cancel;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Once, OnceLock};
use whisper_rs::whisper_rs_sys::{
    ggml_backend_cpu_reg, ggml_backend_cpu_set_abort_callback, ggml_backend_cpu_set_n_threads, ggml_backend_reg_t,
    ggml_backend_t,
};

/// Finds a function of a backend by its name.
type LookUp = unsafe extern "C" fn(ggml_backend_reg_t, *const c_char) -> *mut c_void;

/// What `ggml_backend_reg_t` points to, which ggml keeps to itself.
#[repr(C)]
struct Registration {
    api_version: c_int,
    get_name: *const c_void,
    get_device_count: *const c_void,
    get_device: *const c_void,
    look_up: Option<LookUp>,
    context: *const c_void,
}

/// The version of ggml's interface that has a [`Registration`] like that.
const API_VERSION: c_int = 2;

/// How ggml itself finds functions.
static LOOK_UP: OnceLock<LookUp> = OnceLock::new();

thread_local! {
    /// Whom the graphs of this thread have to ask.
    static ASKED: Cell<*const c_void> = const { Cell::new(null_mut()) };
}

/// Makes graphs on the CPU stoppable. To be called before whisper.cpp computes anything.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: the version says that the registration is what it is taken for; it is a static that nobody writes to, and
    // nobody reads it in another thread, because whoever loads a model waits for this first.
    ONCE.call_once(|| unsafe {
        let registration: *mut Registration = ggml_backend_cpu_reg().cast();
        if (*registration).api_version == API_VERSION
            && let Some(look_up) = (*registration).look_up
            && LOOK_UP.set(look_up).is_ok()
        {
            (*registration).look_up = Some(find);
        }
    });
}

/// Runs `work`, in which graphs stop when `cancel` says so: they fail then.
pub(super) fn stoppable<T>(cancel: &Cancel<'_>, work: impl FnOnce() -> T) -> T {
    let _asked = Asked;
    ASKED.set(std::ptr::from_ref(cancel).cast());
    work()
}

/// Somebody is asked for as long as this lives, also when the work panics.
struct Asked;

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.set(null_mut());
    }
}

/// As ggml finds functions, but for one.
unsafe extern "C" fn find(registration: ggml_backend_reg_t, name: *const c_char) -> *mut c_void {
    // SAFETY: whisper.cpp hands in a registration and the name as a string that ends with NUL.
    unsafe {
        if CStr::from_ptr(name) == c"ggml_backend_set_n_threads" {
            return set_threads as unsafe extern "C" fn(ggml_backend_t, c_int) as *mut c_void;
        }
        LOOK_UP.get().map_or(null_mut(), |look_up| look_up(registration, name))
    }
}

/// Called before each graph, in the thread that is going to compute it.
unsafe extern "C" fn set_threads(backend: ggml_backend_t, threads: c_int) {
    let asked = ASKED.get();
    // SAFETY: the backend is one for the CPU, as its registration was asked. Whom to ask outlives the graph: it is set
    // for a call around it, and set anew, or to nobody, before the next.
    unsafe {
        ggml_backend_cpu_set_n_threads(backend, threads);
        let ask = (!asked.is_null()).then_some(is_cancelled as unsafe extern "C" fn(*mut c_void) -> bool);
        ggml_backend_cpu_set_abort_callback(backend, ask, asked.cast_mut());
    }
}

/// Asked by whisper.cpp between its graphs and by ggml between the nodes of one; `true` ends the work.
pub(super) unsafe extern "C" fn is_cancelled(cancel: *mut c_void) -> bool {
    // SAFETY: `stoppable` and the encoder hand in a reference that lives as long as the call.
    unsafe { &*cancel.cast_const().cast::<Cancel<'_>>() }.is_cancelled()
}
