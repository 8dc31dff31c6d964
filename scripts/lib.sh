# shellcheck shell=bash
# Shell functions that the scripts share: find what is missing on this machine and get only that. Sourced, never run.
#
# What lands where: system packages through apt (with sudo when not root), Rust through rustup in the user's home,
# ONNX Runtime in the user's cache folder. Nothing else changes outside the build folder. Every step says so in one
# line on standard error, and a step that has nothing to do says nothing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

# The toolchain that rustup gets where there is no Rust, or only one older than `rust-version` in Cargo.toml.
readonly rust_toolchain=1.95.0

# ONNX Runtime comes out of the wheel on PyPI, which holds the plain library. Neural voices need it; nothing else does.
readonly onnx_version=1.31.1

# A relative build folder means the same folder wherever cargo is run from.
case "${CARGO_TARGET_DIR:-}" in
    "") build_dir=$root/target ;;
    /*) build_dir=$CARGO_TARGET_DIR ;;
    *) build_dir=$PWD/$CARGO_TARGET_DIR ;;
esac
readonly build_dir
export CARGO_TARGET_DIR=$build_dir

say() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Runs a command in the repository, where cargo finds its settings in `.cargo/config.toml`.
in_repository() {
    (cd "$root" && "$@")
}

# ---- system packages

# Installs the packages that provide missing commands; each argument is `command=package`.
# A command that starts with `/` is a file that must exist.
need_packages() {
    local pair command missing=()
    for pair in "$@"; do
        command=${pair%%=*}
        if [[ $command == /* ]]; then
            [[ -e $command ]] && continue
        else
            have "$command" && continue
        fi
        missing+=("${pair#*=}")
    done
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# The packages that building and running take; libstdc++ comes along with the compiler.
need_build_packages() {
    need_packages gcc=gcc g++=g++ make=make cmake=cmake curl=curl /etc/ssl/certs/ca-certificates.crt=ca-certificates
}

# What only the tests take: Python for its SDK, ffmpeg to make recordings in formats that the server reads but does not write,
# NATS for fleets.
need_test_packages() {
    need_packages python3=python3 ffmpeg=ffmpeg
    # On Debian, venv is a package of its own; ensurepip is what it brings.
    python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3-venv
    # A failure ends only the subshell: what takes NATS is left out then, and says so.
    have nats-server || (install_packages nats-server) || say "there is no nats-server: what takes one is not tested"
}

# Leaves the path of a Chromium in $chromium: one that is here, or Debian's.
find_chromium() {
    local name
    for name in chromium-headless-shell chromium chromium-browser google-chrome; do
        chromium=$(command -v "$name") || continue
        # Ubuntu has a command of this name that only says where else to get it.
        "$chromium" --version >/dev/null 2>&1 && return
    done
    return 1
}

need_chromium() {
    find_chromium && return
    # A failure ends only the subshell: what a browser tests can be left out.
    (install_packages chromium-headless-shell) || (install_packages chromium) || return 1
    find_chromium
}

install_packages() {
    have apt-get || die "these are missing: $*. Install them with this system's package manager, then run this again"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    if [[ $(id -u) -ne 0 ]]; then
        # sudo may ask for a password only where somebody can type one.
        if ! have sudo || ! { sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; }; then
            say "these packages are missing and only root may install them. Run this as root, then come back:"
            say "  apt-get update && apt-get install -y --no-install-recommends $*"
            exit 1
        fi
        apt=(sudo "${apt[@]}")
    fi
    say "installing packages: $*"
    "${apt[@]}" update -qq >&2 || say "apt-get update failed; trying with the package lists that are here"
    "${apt[@]}" install -y -qq --no-install-recommends "$@" >&2 || die "apt-get could not install: $*"
}

# ---- Rust

need_rust() {
    local wanted bin=${CARGO_HOME:-$HOME/.cargo}/bin
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    export PATH="$PATH:$bin"
    rust_is_at_least "$wanted" && return
    # A distribution's old Rust stays where it is; rustup's comes before it from here on.
    export PATH="$bin:$PATH"
    rust_is_at_least "$wanted" && return
    if ! have rustup; then
        install_rustup
    elif ! RUSTUP_TOOLCHAIN=$rust_toolchain rust_is_at_least "$wanted"; then
        say "getting Rust $rust_toolchain with rustup (this project needs $wanted or newer)"
        rustup toolchain install "$rust_toolchain" --profile minimal --no-self-update >&2 ||
            die "rustup could not get Rust $rust_toolchain"
    fi
    export RUSTUP_TOOLCHAIN=$rust_toolchain
    rust_is_at_least "$wanted" || die "Rust $wanted or newer is needed; this is $(rustc --version 2>&1)"
}

rust_is_at_least() {
    have cargo && have rustc || return 1
    local found
    found=$(in_repository rustc --version 2>/dev/null | cut -d' ' -f2 | cut -d- -f1)
    [[ -n $found ]] && [[ $(printf '%s\n%s\n' "$1" "$found" | sort -V | head -n 1) == "$1" ]]
}

# Formatting and lints are components that the minimal toolchain leaves out.
need_rust_components() {
    in_repository cargo fmt --version >/dev/null 2>&1 && in_repository cargo clippy --version >/dev/null 2>&1 && return
    have rustup || die "cargo fmt and cargo clippy are missing; install rustfmt and clippy for this Rust"
    say "getting rustfmt and clippy with rustup"
    in_repository rustup component add rustfmt clippy >&2 || die "rustup could not get rustfmt and clippy"
}

install_rustup() {
    say "installing Rust $rust_toolchain in your home folder, with rustup from https://sh.rustup.rs"
    local installer
    installer=$(mktemp)
    if ! curl --proto '=https' --tlsv1.2 -sSf --connect-timeout 15 https://sh.rustup.rs -o "$installer"; then
        rm -f "$installer"
        die "https://sh.rustup.rs cannot be reached. Install Rust $rust_toolchain or newer another way, then run this again"
    fi
    sh "$installer" -y --profile minimal --default-toolchain "$rust_toolchain" --no-modify-path >&2 || {
        rm -f "$installer"
        die "rustup could not install Rust $rust_toolchain"
    }
    rm -f "$installer"
    hash -r
}

# ---- ONNX Runtime

# Puts ONNX Runtime in the user's cache. Without it everything works but the neural voices, so a failure is a warning.
need_onnx_runtime() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/mynah/onnxruntime/$onnx_version
    local library=$folder/libonnxruntime.so.$onnx_version
    [[ -e $library || -e ${ORT_DYLIB_PATH:-} || -e ${MYNAH_ENGINE__ONNX_RUNTIME:-} ]] && return
    # After a failure the next start does not wait for the network again; a day later it does.
    [[ -n $(find "$folder/unavailable" -mmin -1440 2>/dev/null) ]] && return
    if [[ $(uname -s) != Linux ]]; then
        say "ONNX Runtime is fetched on Linux only; for neural voices set MYNAH_ENGINE__ONNX_RUNTIME to the library"
        return
    fi
    say "getting ONNX Runtime $onnx_version for neural voices, into $folder"
    mkdir -p "$folder"
    if (fetch_onnx_runtime "$folder" "$library"); then
        rm -f "$folder/unavailable"
    else
        touch "$folder/unavailable"
        say "ONNX Runtime could not be fetched: neural voices stay off until it is there; everything else works."
        say "To try again: rm '$folder/unavailable'. Or put the library at $library"
    fi
}

# Runs in a subshell, so that its temporary folder goes whatever happens.
fetch_onnx_runtime() {
    local folder=$1 library=$2 wheel path wheel_digest library_digest
    case "$(uname -m)" in
        x86_64)
            path=b4/1d/0f85ee31a3d93f2243a5cc29252becf858f53ac5cfa6c9c15d9ffe107eea
            wheel_digest=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
            library_digest=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
            ;;
        aarch64)
            path=02/ee/b173a49293b146b54bd057bf8681a015aef764d8f56d999ad8c6e53ab18d
            wheel_digest=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
            library_digest=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
            ;;
        *)
            say "there is no pinned ONNX Runtime for $(uname -m)"
            return 1
            ;;
    esac
    local platform
    platform=manylinux_2_28_$(uname -m)
    wheel=onnxruntime-$onnx_version-cp311-cp311-$platform.whl
    # In the same folder as the library, so that the rename at the end is atomic.
    local work
    work=$(mktemp -d "$folder/fetching.XXXXXX") || return 1
    # shellcheck disable=SC2064 # the folder is known now
    trap "rm -rf '${work//\'/\'\\\'\'}'" EXIT
    # pip first: where there is a mirror, pip knows it. The wheel is asked for by its tags, whatever this Python is.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" \
        --platform "$platform" --python-version 3.11 --implementation cp --abi cp311 \
        "onnxruntime==$onnx_version" >/dev/null 2>&1 ||
        curl -sSfL --connect-timeout 15 --retry 2 -o "$work/$wheel" \
            "https://files.pythonhosted.org/packages/$path/$wheel" || return 1
    has_digest "$work/$wheel" "$wheel_digest" || return 1
    unpack_library "$work/$wheel" "$work/library" || return 1
    has_digest "$work/library" "$library_digest" || return 1
    chmod 644 "$work/library"
    mv -f "$work/library" "$library"
}

# Takes the library out of the wheel, which is a zip file.
unpack_library() {
    local member=onnxruntime/capi/libonnxruntime.so.$onnx_version
    if ! have unzip && ! have python3; then
        (install_packages unzip) || return 1
    fi
    if have unzip; then
        unzip -p "$1" "$member" >"$2"
    else
        python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
            "$1" "$member" >"$2"
    fi
}

has_digest() {
    [[ -f $1 ]] || return 1
    local found
    found=$(sha256sum "$1" | cut -d' ' -f1)
    [[ $found == "$2" ]] && return
    say "$(basename "$1") has the wrong digest: expected $2, found $found"
    return 1
}

# ---- steps and their counts

# Every script that tests ends with the line `N passed, N failed`, so that the next one up can add it to its own.

passed=0
failed=0
summary=()
running=
scratch=
tells_failures=

# Makes the temporary folder and sees to it that nothing outlives the script, however it ends.
begin_steps() {
    scratch=$(mktemp -d)
    # What has failed, in the words of the tests, is told once more at the end by the script that was called first.
    if [[ -z ${CHECK_FAILURES:-} ]]; then
        export CHECK_FAILURES=$scratch/failures
        : >"$CHECK_FAILURES"
        tells_failures=yes
    fi
    # What the tests put among the temporary files goes with the folder.
    export TMPDIR=$scratch
    trap 'end_steps' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

end_steps() {
    stop_group "$running"
    rm -rf "$scratch"
}

# step NAME COUNTER COMMAND…: runs the command, shows what it prints, and counts what it passed and failed.
# A command that fails without a failed test of its own counts as one failure.
step() {
    local name=$1 counter=$2 status=0 step_passed step_failed told
    shift 2
    told=$(wc -c <"$CHECK_FAILURES")
    say "== $name"
    # A process group of its own, so that what the command leaves behind can be found and ended.
    set -m
    (
        set -o pipefail
        within_limit "$@" </dev/null 2>&1 | tee "$scratch/step.log"
    ) &
    running=$!
    set +m
    wait "$running" || status=$?
    stop_group "$running"
    running=
    read -r step_passed step_failed < <("$counter" "$status" "$scratch/step.log")
    [[ $status -eq 0 || $step_failed -gt 0 ]] || step_failed=1
    # A command that counts its own steps has told of them already.
    [[ $step_failed -eq 0 || $(wc -c <"$CHECK_FAILURES") -gt $told ]] || failures_of "$name" "$scratch/step.log" >>"$CHECK_FAILURES"
    passed=$((passed + step_passed))
    failed=$((failed + step_failed))
    summary+=("$(printf '%-44s %5d passed %5d failed' "$name" "$step_passed" "$step_failed")")
}

# No step may hang for ever; 30 minutes are enough for a cold build on two cores.
within_limit() {
    if have timeout; then
        timeout --foreground --kill-after=10 1800 "$@"
    else
        "$@"
    fi
}

skip_step() {
    summary+=("$(printf '%-44s skipped: %s' "$1" "$2")")
}

# Prints the summary and the counts, and ends the script with the right status.
finish() {
    printf '\n'
    [[ -z $tells_failures || ! -s $CHECK_FAILURES ]] || cat "$CHECK_FAILURES"
    printf '%s\n' ${summary[@]+"${summary[@]}"}
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [[ $failed -eq 0 && $passed -gt 0 ]]
    exit
}

# Ends every process of a group: asks first, then insists.
stop_group() {
    [[ -n ${1:-} ]] || return 0
    kill -TERM -- "-$1" 2>/dev/null || return 0
    local _
    for _ in {1..100}; do
        kill -0 -- "-$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
}

# What a log says of the tests that failed, shortly: of cargo's tests from the list of failures on, otherwise the lines that
# tell of one, or else how it ended.
failures_of() {
    printf '== %s failed:\n' "$1"
    {
        sed -n '/^failures:$/,/^test result:/p' "$2" | head -n 60
        grep -E '^(FAILED |ERROR |not ok|FAIL |✖ |error(\[|:)|warning: unused)|^ +✖ ' "$2" | sort -u | head -n 30
    } >"$scratch/told" || true
    [[ -s $scratch/told ]] || tail -n 20 "$2" >"$scratch/told"
    cat "$scratch/told"
    printf '\n'
}

# Counters: given a command's exit status and its log, they print how many tests passed and how many failed.

counts_one_check() {
    if [[ $1 -eq 0 ]]; then echo 1 0; else echo 0 1; fi
}

counts_of_cargo() {
    sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$2" |
        awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }'
}

counts_of_last_line() {
    local counts
    counts=$(tail -n 1 "$2" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
    echo "${counts:-0 0}"
}

counts_of_pytest() {
    local line
    line=$(tail -n 1 "$2")
    echo "$(number_before passed "$line") $(($(number_before failed "$line") + $(number_before error "$line")))"
}

counts_of_node() {
    # Each line of the summary begins with a sign that depends on the version.
    awk 'NF == 3 && $2 == "pass" { p = $3 } NF == 3 && $2 ~ /^(fail|cancelled)$/ { f += $3 } END { print p + 0, f + 0 }' "$2"
}

number_before() {
    local number
    number=$(sed -nE "s/.*[^0-9]([0-9]+) $1.*/\1/p" <<<" $2")
    echo "${number:-0}"
}
