//! For onnxruntime and whatever else reads ONNX. The messages are few, so they are written by hand.
//! Source: onnx/onnx.proto, IR version 8, opset 13.

use safetensors::View;

use super::protobuf::Message;
use super::{Layers, description};
use crate::model::ensemble::Ensemble;
use crate::tensors::Tensor;
use crate::version;

const IR_VERSION: u64 = 8;
const OPSET: u64 = 13;
/// Bytes that a message can have.
const MOST_BYTES: u64 = (1 << 31) - 1;

/// The model as ONNX: input `x` (N, D), output `scores` (N, C), or `probabilities` of an ensemble. None where it is too large for the format,
/// 2 GiB, or its members differ in precision.
pub fn onnx(ensemble: &Ensemble) -> Option<Vec<u8>> {
    let layers = Layers::of(ensemble);
    let is_f64 = layers[0].is_f64;
    let all = || layers.iter().flat_map(|member| &member.tensors);
    let bytes: u64 = all().map(|(_, tensor)| tensor.data_len() as u64).sum();
    let is_one = layers.iter().all(|member| member.is_f64 == is_f64);
    if bytes > MOST_BYTES - (1 << 20) || !is_one {
        return None;
    }
    let of_type: u64 = if is_f64 { 11 } else { 1 };
    let [inputs, _, classes] = layers[0].sizes();
    let is_ensemble = layers.len() > 1;
    let output = if is_ensemble { "probabilities" } else { "scores" };
    let mut graph = Message::default();
    let mut outputs = vec![];
    for (k, member) in layers.iter().enumerate() {
        let name = |name: &str| if is_ensemble { format!("{k}.{name}") } else { name.to_owned() };
        let mut x = "x".to_owned();
        let mut add = |graph: Message, kind: &str, more: &[&str], attribute: Option<(&str, u64)>, result: &str| {
            let inputs: Vec<String> = std::iter::once(x.clone()).chain(more.iter().map(|more| name(more))).collect();
            x = name(result);
            graph.message(1, &node(kind, &inputs, &x, attribute))
        };
        graph = add(graph, "Sub", &["mean_image"], None, "centred");
        if member.get("scale_image").is_some() {
            graph = add(graph, "Mul", &["scale_image"], None, "scaled");
        }
        if member.get("projection").is_some() {
            graph = add(graph, "Gemm", &["projection"], Some(("transB", 1)), "projected");
        }
        graph = add(graph, "Gemm", &["W1", "b1"], None, "z");
        graph = add(graph, "Relu", &[], None, "hidden");
        graph = add(graph, "Gemm", &["W2", "b2"], None, "scores");
        if is_ensemble {
            graph = add(graph, "Softmax", &[], Some(("axis", 1)), "probabilities");
        }
        outputs.push(x);
    }
    if is_ensemble {
        graph = graph.message(1, &node("Sum", &outputs, "sum", None));
        graph = graph.message(1, &node("Div", &["sum".to_owned(), "members".to_owned()], output, None));
    }
    graph = graph.text(2, "mlpgrid");
    for (k, member) in layers.iter().enumerate() {
        for (name, tensor) in &member.tensors {
            let name = if is_ensemble { format!("{k}.{name}") } else { (*name).to_owned() };
            graph = graph.message(5, &initializer(&name, of_type, tensor));
        }
    }
    if is_ensemble {
        let count = super::of_type(&Tensor::new(&[1], vec![layers.len() as f64]), is_f64);
        graph = graph.message(5, &initializer("members", of_type, &count));
    }
    graph = graph.message(11, &value("x", of_type, inputs)).message(12, &value(output, of_type, classes));
    let text = description(&layers).to_string();
    let model = Message::default()
        .number(1, IR_VERSION)
        .text(2, "mlpgrid")
        .text(3, version::VERSION)
        .message(7, &graph)
        .message(8, &Message::default().number(2, OPSET))
        .message(14, &Message::default().text(1, "mlpgrid").text(2, &text));
    Some(model.0)
}

fn node(kind: &str, inputs: &[String], output: &str, attribute: Option<(&str, u64)>) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    let node = node.text(2, output).text(3, output).text(4, kind);
    match attribute {
        // 2: a whole number.
        Some((name, value)) => node.message(5, &Message::default().text(1, name).number(3, value).number(20, 2)),
        None => node,
    }
}

fn initializer(name: &str, of_type: u64, tensor: &Tensor) -> Message {
    let sizes = tensor.shape().iter().fold(Message::default(), |message, &size| message.number(1, size as u64));
    sizes.number(2, of_type).text(8, name).bytes(9, &tensor.data())
}

/// An input or output (N, columns).
fn value(name: &str, of_type: u64, columns: usize) -> Message {
    let rows = Message::default().text(2, "N");
    let columns = Message::default().number(1, columns as u64);
    let shape = Message::default().message(1, &rows).message(1, &columns);
    let tensor = Message::default().number(1, of_type).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}
