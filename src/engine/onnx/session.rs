//! A model in the ONNX Runtime: numbers by name in, numbers out.

use super::{find, library, unavailable};
use crate::config::{EngineConfig, OnnxProvider};
use crate::engine::Cancel;
use crate::error::{Error, Kind, Result};
use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::{RunOptions, SessionInputValue, builder::GraphOptimizationLevel};
use ort::value::{Outlet, TensorElementType, TensorRef};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a running model is asked whether somebody still waits for it.
const POLL: Duration = Duration::from_millis(20);

/// A process has one environment; sessions keep it alive, and this keeps it for the next.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Where the weights of a model are.
#[derive(Debug, Clone, Copy)]
pub enum Model<'a> {
    /// A file.
    File(&'a Path),
    /// In memory.
    Bytes(&'a [u8]),
}

/// Numbers to give to a model: their shape, and the values row by row.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// 32-bit floating point.
    Floats(&'a [usize], &'a [f32]),
    /// 64-bit floating point.
    Doubles(&'a [usize], &'a [f64]),
    /// 64-bit integers.
    Integers(&'a [usize], &'a [i64]),
    /// 32-bit integers.
    ShortIntegers(&'a [usize], &'a [i32]),
}

/// What kind of numbers an input or output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// 64-bit integers.
    Integer,
    /// 32-bit integers.
    ShortInteger,
    /// Anything else.
    Other,
}

/// Numbers that a model has answered: their shape, and the values row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// How many there are in each dimension.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub numbers: Numbers,
    /// How many numbers there are in each dimension; `None` where that is free.
    pub shape: Vec<Option<usize>>,
}

impl Port {
    /// Whether it is a tensor of 32-bit floating point numbers.
    pub fn is_float(&self) -> bool {
        self.numbers == Numbers::Float
    }
}

/// A loaded model. One value works for one thread at a time.
pub struct Session {
    name: String,
    session: ort::session::Session,
}

impl Session {
    /// Loads `model`, called `name` in messages, with the library that [`find`] finds. It uses `engine.threads` threads.
    ///
    /// # Errors
    /// `Unavailable`: there is no library, with how to get one; or the model does not load, with its name.
    pub fn open(name: &str, model: Model<'_>, config: &EngineConfig, data_dir: &Path) -> Result<Self> {
        let path = find(config, data_dir).ok_or_else(|| unavailable("no library was found"))?;
        let environment = environment(&path)?;
        let session = load(model, &environment, config).map_err(|error| {
            let message = match config.onnx_provider {
                OnnxProvider::Cpu => format!("the ONNX model {name} cannot be loaded: {error}"),
                provider => format!(
                    "the ONNX model {name} cannot be loaded on `{provider}`: {error}. `engine.onnx_provider` = \"cpu\" \
                     works everywhere; \"{provider}\" needs an ONNX Runtime that was built for it"
                ),
            };
            Error::new(Kind::Unavailable, message).with_source(error)
        })?;
        Ok(Self { name: name.to_owned(), session })
    }

    /// What to call the model in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model takes.
    pub fn inputs(&self) -> Vec<Port> {
        self.session.inputs().iter().map(port).collect()
    }

    /// What the model answers.
    pub fn outputs(&self) -> Vec<Port> {
        self.session.outputs().iter().map(port).collect()
    }

    /// What the makers of the model have noted under `key`.
    pub fn note(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }

    /// Runs the model on `inputs`, by name, and returns its answer `output`.
    ///
    /// # Errors
    /// `Internal`, with the name of the model, when it does not take these inputs or does not answer with such numbers.
    pub fn run(&mut self, inputs: &[(&str, Input<'_>)], output: &str) -> Result<Output> {
        self.run_until(inputs, output, &Cancel::never())
    }

    /// As [`Session::run`], but stops soon after `cancel` says so: before the model's next operation.
    ///
    /// # Errors
    /// As [`Session::run`], and `Cancelled`.
    pub fn run_until(&mut self, inputs: &[(&str, Input<'_>)], output: &str, cancel: &Cancel<'_>) -> Result<Output> {
        let mut answers = self.run_all(inputs, &[output], cancel)?;
        Ok(answers.swap_remove(0))
    }

    /// As [`Session::run_until`], for several answers: as many as there are `outputs`, in their order.
    ///
    /// # Errors
    /// As [`Session::run_until`].
    pub fn run_all(
        &mut self,
        inputs: &[(&str, Input<'_>)],
        outputs: &[&str],
        cancel: &Cancel<'_>,
    ) -> Result<Vec<Output>> {
        if cancel.is_cancelled() {
            return Err(left());
        }
        let Self { name, session } = self;
        watched(cancel, |options| run(session, inputs, outputs, options)).map_err(|error| match cancel.is_cancelled() {
            true => left(),
            false => Error::internal(format!("the ONNX model {name} failed: {error}"), error),
        })
    }
}

fn left() -> Error {
    Error::new(Kind::Cancelled, "nobody waits for the answer of the model")
}

/// The environment of this process, with the library at `path` if there is none yet.
fn environment(path: &Path) -> Result<Environment> {
    let mut shared = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*shared {
        return Ok(environment.clone());
    }
    let built = library(path)?.with_name("mynah").with_telemetry(false).build();
    let environment = built.map_err(|error| unavailable(&error.to_string()).with_source(error))?;
    *shared = Some(environment.clone());
    Ok(environment)
}

fn load(model: Model<'_>, environment: &Environment, config: &EngineConfig) -> ort::Result<ort::session::Session> {
    let mut builder = ort::session::Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(config.threads.max(1))?
        .with_inter_threads(1)?
        // Threads may spin while they wait for each other, on cores that are theirs, but not for the next run.
        .with_intra_op_spinning(config.threads > 1)?
        .with_config_entry("session.force_spinning_stop", "1")?
        .with_execution_providers(providers(config.onnx_provider))?;
    match model {
        Model::File(path) => builder.commit_from_file(path),
        Model::Bytes(bytes) => builder.commit_from_memory(bytes),
    }
}

/// What runs a model; what it cannot run is left to the CPU, which is always there.
fn providers(provider: OnnxProvider) -> Vec<ExecutionProviderDispatch> {
    match provider {
        OnnxProvider::Cpu => Vec::new(),
        OnnxProvider::Cuda => vec![ep::CUDA::default().build().error_on_failure()],
        OnnxProvider::CoreMl => vec![ep::CoreML::default().build().error_on_failure()],
    }
}

/// Does `work`, and tells it through its options to end once `cancel` says so.
fn watched<T>(cancel: &Cancel<'_>, work: impl FnOnce(&RunOptions) -> ort::Result<T>) -> ort::Result<T> {
    let (options, done) = (RunOptions::new()?, Done::default());
    thread::scope(|scope| {
        let watch = || {
            while !done.within(POLL) {
                if cancel.is_cancelled() {
                    let _ = options.terminate();
                    return;
                }
            }
        };
        let watcher = thread::Builder::new().name("onnx-watch".into()).spawn_scoped(scope, watch);
        // Also when the work panics: the scope waits for the watcher.
        let _ended = Ended(&done);
        watcher.map_err(|error| ort::Error::new(format!("no thread could be started: {error}")))?;
        work(&options)
    })
}

/// Whether some work is done, to wait for.
#[derive(Default)]
struct Done {
    is_done: Mutex<bool>,
    changed: Condvar,
}

impl Done {
    /// Waits until it is, or for `time`.
    fn within(&self, time: Duration) -> bool {
        let waiting = self.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(waiting, time, |is_done| !*is_done);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Makes it done when dropped.
struct Ended<'a>(&'a Done);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *self.0.is_done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

fn run(
    session: &mut ort::session::Session,
    inputs: &[(&str, Input<'_>)],
    names: &[&str],
    options: &RunOptions,
) -> ort::Result<Vec<Output>> {
    let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for (name, input) in inputs {
        let value = match *input {
            Input::Floats(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
            Input::Doubles(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
            Input::Integers(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
            Input::ShortIntegers(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
        };
        values.push((name, value));
    }
    let outputs = session.run_with_options(values, options)?;
    let answer = |name: &&str| {
        let found = outputs.get(name).ok_or_else(|| ort::Error::new(format!("it has no output `{name}`")))?;
        let (shape, values) = found.try_extract_tensor::<f32>()?;
        let shape = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
        Ok(Output { shape, values: values.to_vec() })
    };
    names.iter().map(answer).collect()
}

fn port(outlet: &Outlet) -> Port {
    let shape = outlet.dtype().tensor_shape();
    let shape = shape.map(|shape| shape.iter().map(|size| usize::try_from(*size).ok()).collect()).unwrap_or_default();
    let numbers = match outlet.dtype().tensor_type() {
        Some(TensorElementType::Float32) => Numbers::Float,
        Some(TensorElementType::Float64) => Numbers::Double,
        Some(TensorElementType::Int64) => Numbers::Integer,
        Some(TensorElementType::Int32) => Numbers::ShortInteger,
        _ => Numbers::Other,
    };
    Port { name: outlet.name().to_owned(), numbers, shape }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_model_that_runs_for_ever_ends_when_nobody_waits_any_more() {
        let named = std::env::var_os("MYNAH_TEST_ONNX_RUNTIME").map(PathBuf::from);
        let config = EngineConfig { onnx_runtime: named, ..EngineConfig::default() };
        if find(&config, Path::new("")).is_none() {
            println!("skipped: there is no ONNX Runtime on this machine; `scripts/test` fetches it");
            return;
        }
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/onnx/endless.onnx"));
        let mut session = Session::open("endless", Model::File(path), &config, Path::new("")).expect("a model");
        let asked = AtomicU32::new(0);
        let gone = || asked.fetch_add(1, Ordering::Relaxed) > 1;
        let inputs = [("x", Input::Floats(&[1], &[1.0]))];
        let error = session.run_until(&inputs, "y", &Cancel::new(&gone)).expect_err("nobody waits");
        assert_eq!(error.kind(), Kind::Cancelled);
        // It still works for those who come later, and leave too.
        let error = session.run_until(&inputs, "y", &Cancel::new(&gone)).expect_err("nobody waits");
        assert_eq!(error.kind(), Kind::Cancelled);
    }
}
