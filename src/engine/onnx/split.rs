//! A model cut in two: a voice of the VITS kind is one graph, but its last part, the vocoder, makes sound of any stretch
//! of what comes before it. Run by itself, stretch by stretch, it gives the first sound long before the last.
//!
//! Only the outer structure of an ONNX file is looked at, as its `onnx.proto` describes it; weights and operators are
//! copied as they are.

use std::collections::{HashMap, HashSet};

/// The numbers of the fields of `ModelProto`, `GraphProto`, `NodeProto` and those inside them that matter here.
const MODEL_GRAPH: u32 = 7;
const GRAPH_NODE: u32 = 1;
const GRAPH_INITIALIZER: u32 = 5;
const GRAPH_INPUT: u32 = 11;
const GRAPH_OUTPUT: u32 = 12;
/// Notes about values, which are made anew when a model is loaded.
const GRAPH_VALUES: [u32; 2] = [13, 14];
const NODE_INPUT: u32 = 1;
const NODE_OUTPUT: u32 = 2;
const NODE_OPERATOR: u32 = 4;
const NODE_ATTRIBUTE: u32 = 5;
const ATTRIBUTE_NAME: u32 = 1;
const ATTRIBUTE_INTEGERS: u32 = 8;
const ATTRIBUTE_GRAPHS: [u32; 2] = [6, 11];
const INITIALIZER_NAME: u32 = 8;
const VALUE_NAME: u32 = 1;

/// Operators between the first convolution of a vocoder and the one that makes its frames longer.
const BETWEEN: [&str; 4] = ["LeakyRelu", "Relu", "Add", "Mul"];

/// How many of these there may be in a row.
const DEEPEST: usize = 8;

/// A model in two parts.
pub struct Split {
    /// What comes before the vocoder: the inputs of the whole model in, [`Split::cut`] out.
    pub front: Vec<u8>,
    /// The vocoder: [`Split::cut`] in, the output of the whole model out.
    pub vocoder: Vec<u8>,
    /// The names of the values between them. The first holds the frames, `[1, channels, frames]`; others are about the
    /// whole utterance.
    pub cut: Vec<String>,
}

/// Cuts the ONNX file `model` in front of its vocoder. Nothing when it is not built like that: a convolution, then
/// transposed convolutions that lead to the only output.
pub fn before_vocoder(model: &[u8]) -> Option<Split> {
    let graph = fields(model)?.into_iter().find(|field| field.number == MODEL_GRAPH)?;
    let graph = Graph::read(graph.payload)?;
    let [output] = graph.outputs.as_slice() else { return None };
    let first = graph.first_of_vocoder()?;
    let vocoder = graph.after(first);
    let fixed = graph.fixed();
    if !graph.producers.get(output.name).is_some_and(|node| vocoder.contains(node)) {
        return None;
    }
    let mut cut = vec![*graph.nodes[first].inputs.first()?];
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| vocoder.contains(at)) {
        for input in &node.inputs {
            match graph.producers.get(input) {
                Some(producer) if vocoder.contains(producer) || fixed.contains(producer) => {}
                Some(_) if cut.contains(input) => {}
                Some(_) => cut.push(input),
                // The vocoder would need what the whole model is given.
                None if graph.is_input(input) && at != first => return None,
                None => {}
            }
        }
    }
    let ends: Vec<Vec<u8>> = cut.iter().map(|name| floats(name)).collect();
    let ends: Vec<&[u8]> = ends.iter().map(Vec::as_slice).collect();
    let inputs = graph.inputs.iter().filter(|value| graph.is_input(value.name)).map(|value| value.payload);
    let front = graph.before(&cut);
    let sources: Vec<&str> = vocoder.iter().flat_map(|node| graph.nodes[*node].inputs.iter().copied()).collect();
    let constants = graph.before(&sources).intersection(&fixed).copied().collect::<HashSet<usize>>();
    let vocoder = vocoder.union(&constants).copied().collect();
    Some(Split {
        front: graph.part(model, &front, &inputs.collect::<Vec<_>>(), &ends)?,
        vocoder: graph.part(model, &vocoder, &ends, &[output.payload])?,
        cut: cut.into_iter().map(str::to_owned).collect(),
    })
}

/// A graph as far as it matters here. Nodes stand behind those whose results they take.
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// Which node a value comes from.
    producers: HashMap<&'a str, usize>,
    initializers: HashMap<&'a str, &'a [u8]>,
    inputs: Vec<Value<'a>>,
    outputs: Vec<Value<'a>>,
    /// Its name and the like.
    rest: Vec<&'a [u8]>,
}

struct Node<'a> {
    operator: &'a str,
    /// What it takes, also inside the graphs it has in itself.
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    attributes: Vec<&'a [u8]>,
    payload: &'a [u8],
}

struct Value<'a> {
    name: &'a str,
    payload: &'a [u8],
}

impl<'a> Graph<'a> {
    fn read(graph: &'a [u8]) -> Option<Self> {
        let mut read = Self {
            nodes: Vec::new(),
            producers: HashMap::new(),
            initializers: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            rest: Vec::new(),
        };
        for field in fields(graph)? {
            let payload = field.payload;
            match field.number {
                GRAPH_NODE => {
                    let node = Node::read(payload)?;
                    read.producers.extend(node.outputs.iter().map(|output| (*output, read.nodes.len())));
                    read.nodes.push(node);
                }
                GRAPH_INITIALIZER => drop(read.initializers.insert(text(payload, INITIALIZER_NAME)?, payload)),
                GRAPH_INPUT => read.inputs.push(Value { name: text(payload, VALUE_NAME)?, payload }),
                GRAPH_OUTPUT => read.outputs.push(Value { name: text(payload, VALUE_NAME)?, payload }),
                number if GRAPH_VALUES.contains(&number) => {}
                _ => read.rest.push(field.raw),
            }
        }
        Some(read)
    }

    /// Whether whoever runs the graph gives it the value `name`; old files list their weights there too.
    fn is_input(&self, name: &str) -> bool {
        !self.initializers.contains_key(name) && self.inputs.iter().any(|input| input.name == name)
    }

    /// The convolution that a vocoder begins with.
    fn first_of_vocoder(&self) -> Option<usize> {
        let longer = self.nodes.iter().find(|node| node.operator == "ConvTranspose")?;
        self.convolution_before(longer.inputs.first()?, DEEPEST)
    }

    /// The convolution over several frames that `value` comes from; one over single frames puts in who speaks.
    fn convolution_before(&self, value: &str, depth: usize) -> Option<usize> {
        let at = *self.producers.get(value)?;
        let node = &self.nodes[at];
        match node.operator {
            "Conv" => node.integers("kernel_shape").iter().any(|size| *size > 1).then_some(at),
            operator if BETWEEN.contains(&operator) && depth > 0 => {
                node.inputs.iter().find_map(|input| self.convolution_before(input, depth - 1))
            }
            _ => None,
        }
    }

    /// `first` and every node that its result reaches.
    fn after(&self, first: usize) -> HashSet<usize> {
        let mut after = HashSet::from([first]);
        for (at, node) in self.nodes.iter().enumerate().skip(first + 1) {
            if node.inputs.iter().any(|input| self.producers.get(input).is_some_and(|node| after.contains(node))) {
                after.insert(at);
            }
        }
        after
    }

    /// Every node that `values` need.
    fn before(&self, values: &[&str]) -> HashSet<usize> {
        let mut before: HashSet<usize> = values.iter().filter_map(|value| self.producers.get(value)).copied().collect();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if before.contains(&at) {
                before.extend(node.inputs.iter().filter_map(|input| self.producers.get(input)));
            }
        }
        before
    }

    /// The nodes whose results are always the same.
    fn fixed(&self) -> HashSet<usize> {
        let mut fixed = HashSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let is_fixed = |input: &&str| match self.producers.get(input) {
                Some(producer) => fixed.contains(producer),
                None => !self.is_input(input),
            };
            if !node.operator.starts_with("Random") && node.inputs.iter().all(is_fixed) {
                fixed.insert(at);
            }
        }
        fixed
    }

    /// `model` with a part of its graph.
    fn part(&self, model: &[u8], nodes: &HashSet<usize>, inputs: &[&[u8]], outputs: &[&[u8]]) -> Option<Vec<u8>> {
        let mut graph: Vec<u8> = self.rest.concat();
        let mut weights = HashSet::new();
        for (_, node) in self.nodes.iter().enumerate().filter(|(at, _)| nodes.contains(at)) {
            put(&mut graph, GRAPH_NODE, node.payload);
            weights.extend(node.inputs.iter().copied());
        }
        for (_, weight) in self.initializers.iter().filter(|(name, _)| weights.contains(*name)) {
            put(&mut graph, GRAPH_INITIALIZER, weight);
        }
        inputs.iter().for_each(|input| put(&mut graph, GRAPH_INPUT, input));
        outputs.iter().for_each(|output| put(&mut graph, GRAPH_OUTPUT, output));
        let around = fields(model)?.into_iter().filter(|field| field.number != MODEL_GRAPH);
        let mut part: Vec<u8> = around.flat_map(|field| field.raw).copied().collect();
        put(&mut part, MODEL_GRAPH, &graph);
        Some(part)
    }
}

impl<'a> Node<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let mut node = Self { operator: "", inputs: Vec::new(), outputs: Vec::new(), attributes: Vec::new(), payload };
        for field in fields(payload)? {
            match field.number {
                NODE_INPUT => node.inputs.push(str::from_utf8(field.payload).ok()?),
                NODE_OUTPUT => node.outputs.push(str::from_utf8(field.payload).ok()?),
                NODE_OPERATOR => node.operator = str::from_utf8(field.payload).ok()?,
                NODE_ATTRIBUTE => {
                    node.attributes.push(field.payload);
                    for graph in fields(field.payload)?.iter().filter(|it| ATTRIBUTE_GRAPHS.contains(&it.number)) {
                        let inner = Graph::read(graph.payload)?;
                        node.inputs.extend(inner.nodes.iter().flat_map(|node| node.inputs.iter().copied()));
                        node.inputs.extend(inner.outputs.iter().map(|output| output.name));
                    }
                }
                _ => {}
            }
        }
        // An input that is left out has no name.
        node.inputs.retain(|input| !input.is_empty());
        Some(node)
    }

    /// The attribute `name`, a list of integers.
    fn integers(&self, name: &str) -> Vec<u64> {
        let named = |attribute: &&&[u8]| text(attribute, ATTRIBUTE_NAME) == Some(name);
        let Some(attribute) = self.attributes.iter().find(named) else { return Vec::new() };
        let values = fields(attribute).unwrap_or_default().into_iter().filter(|it| it.number == ATTRIBUTE_INTEGERS);
        let values = values.flat_map(|field| match field.integer {
            Some(integer) => vec![integer],
            None => packed(field.payload),
        });
        values.collect()
    }
}

/// One field of a message in the wire format of Protocol Buffers.
struct Field<'a> {
    number: u32,
    /// The value of a field that is an integer.
    integer: Option<u64>,
    /// The bytes of every other field.
    payload: &'a [u8],
    /// All of it.
    raw: &'a [u8],
}

/// The fields of a message; nothing when it is not one.
fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let mut integer = None;
        let length = match key & 7 {
            0 => {
                integer = Some(varint(&mut rest)?);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (payload, after) = rest.split_at_checked(length)?;
        rest = after;
        let raw = &start[..start.len() - rest.len()];
        fields.push(Field { number: u32::try_from(key >> 3).ok()?, integer, payload, raw });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn packed(mut bytes: &[u8]) -> Vec<u64> {
    std::iter::from_fn(|| if bytes.is_empty() { None } else { varint(&mut bytes) }).collect()
}

/// The text of the field `number` of a message.
fn text(message: &[u8], number: u32) -> Option<&str> {
    let field = fields(message)?.into_iter().find(|field| field.number == number)?;
    str::from_utf8(field.payload).ok()
}

/// Appends a field that holds `payload`.
fn put(message: &mut Vec<u8>, number: u32, payload: &[u8]) {
    put_varint(message, u64::from(number) << 3 | 2);
    put_varint(message, payload.len() as u64);
    message.extend_from_slice(payload);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// The description of a value: 32-bit floating point numbers of any shape.
fn floats(name: &str) -> Vec<u8> {
    const TYPE: u32 = 2;
    const TENSOR: u32 = 1;
    /// Field 1, the element type: 1 is 32-bit floating point.
    const FLOAT: [u8; 2] = [0x08, 1];
    let (mut value, mut kind) = (Vec::new(), Vec::new());
    put(&mut kind, TENSOR, &FLOAT);
    put(&mut value, VALUE_NAME, name.as_bytes());
    put(&mut value, TYPE, &kind);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: &[u8] = include_bytes!("../../../tests/it/fixtures/onnx/vits.onnx");
    const TONES: &[u8] = include_bytes!("../../../tests/it/fixtures/onnx/en_US-tones-medium.onnx");

    fn graph(model: &[u8]) -> Graph<'_> {
        let fields = fields(model).expect("a model");
        Graph::read(fields.iter().find(|field| field.number == MODEL_GRAPH).expect("a graph").payload).expect("a graph")
    }

    #[test]
    fn every_node_and_every_weight_is_in_a_part() {
        let split = before_vocoder(VOICE).expect("it has a vocoder");
        assert_eq!(split.cut.len(), 1);
        let (whole, front, vocoder) = (graph(VOICE), graph(&split.front), graph(&split.vocoder));
        assert_eq!(whole.nodes.len(), front.nodes.len() + vocoder.nodes.len());
        assert!(
            whole
                .initializers
                .keys()
                .all(|name| { front.initializers.contains_key(name) || vocoder.initializers.contains_key(name) })
        );
        let operators = |graph: &Graph<'_>, name: &str| graph.nodes.iter().filter(|it| it.operator == name).count();
        assert_eq!((operators(&front, "ConvTranspose"), operators(&vocoder, "ConvTranspose")), (0, 3));
        assert_eq!(
            front.inputs.iter().map(|input| input.name).collect::<Vec<_>>(),
            ["input", "input_lengths", "scales"]
        );
        assert_eq!((front.outputs[0].name, vocoder.inputs[0].name), (&*split.cut[0], &*split.cut[0]));
    }

    #[test]
    fn what_has_no_vocoder_is_left_whole() {
        assert!(before_vocoder(TONES).is_none());
        assert!(before_vocoder(b"").is_none());
        assert!(before_vocoder(b"not a model").is_none());
    }

    #[test]
    fn damaged_files_are_no_danger() {
        for length in (0..VOICE.len()).step_by(97) {
            let _ = before_vocoder(&VOICE[..length]);
        }
        let mut damaged = VOICE.to_vec();
        for at in (0..VOICE.len()).step_by(131) {
            damaged[at] ^= 0xff;
            let _ = before_vocoder(&damaged);
            damaged[at] ^= 0xff;
        }
    }
}
