//! A model in the ONNX Runtime: numbers by name in, numbers out.

use super::{find, library, unavailable};
use crate::config::EngineConfig;
use crate::error::{Error, Kind, Result};
use ort::environment::Environment;
use ort::session::{SessionInputValue, builder::GraphOptimizationLevel};
use ort::value::{Outlet, TensorElementType, TensorRef};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
    /// 64-bit integers.
    Integers(&'a [usize], &'a [i64]),
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
    /// Whether it is a tensor of 32-bit floating point numbers.
    pub is_float: bool,
    /// How many numbers there are in each dimension; `None` where that is free.
    pub shape: Vec<Option<usize>>,
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
        let session = load(model, &environment, config.threads.max(1)).map_err(|error| {
            let message = format!("the ONNX model {name} cannot be loaded: {error}");
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
        let Self { name, session } = self;
        run(session, inputs, output)
            .map_err(|error| Error::internal(format!("the ONNX model {name} failed: {error}"), error))
    }
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

fn load(model: Model<'_>, environment: &Environment, threads: usize) -> ort::Result<ort::session::Session> {
    let mut builder = ort::session::Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Threads that spin while they wait take the cores of other engines.
        .with_intra_op_spinning(false)?;
    match model {
        Model::File(path) => builder.commit_from_file(path),
        Model::Bytes(bytes) => builder.commit_from_memory(bytes),
    }
}

fn run(session: &mut ort::session::Session, inputs: &[(&str, Input<'_>)], output: &str) -> ort::Result<Output> {
    let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for (name, input) in inputs {
        let value = match *input {
            Input::Floats(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
            Input::Integers(shape, values) => TensorRef::from_array_view((shape, values))?.into(),
        };
        values.push((name, value));
    }
    let outputs = session.run(values)?;
    let found = outputs.get(output).ok_or_else(|| ort::Error::new(format!("it has no output `{output}`")))?;
    let (shape, values) = found.try_extract_tensor::<f32>()?;
    let shape = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
    Ok(Output { shape, values: values.to_vec() })
}

fn port(outlet: &Outlet) -> Port {
    let shape = outlet.dtype().tensor_shape();
    let shape = shape.map(|shape| shape.iter().map(|size| usize::try_from(*size).ok()).collect()).unwrap_or_default();
    let is_float = outlet.dtype().tensor_type() == Some(TensorElementType::Float32);
    Port { name: outlet.name().to_owned(), is_float, shape }
}
