//! Nodes that return what they are given (Identity, Dropout, a Reshape to the same shape): their readers read what they read,
//! so that nothing stands between a convolution and what could be fused into it.

use crate::graph::Graph;
use crate::ops::Op;

pub(super) fn run(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        let same = match (&node.op, node.input(0), &node.outputs[..]) {
            // The network's outputs keep their names.
            (Op::Reshape(_), Some(input), &[output]) if !graph.outputs.contains(&output) => {
                (graph.value(input).ty == graph.value(output).ty).then_some((input, output))
            }
            _ => None,
        };
        let Some((input, output)) = same else {
            index += 1;
            continue;
        };
        graph.nodes.remove(index);
        for slot in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|slot| **slot == Some(output)) {
            *slot = Some(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, Node};
    use crate::ops::{Activate, Activation, Reshape};
    use crate::passes::{Fusion, optimize};
    use crate::tensor::TensorType;

    #[test]
    fn what_returns_its_input_is_removed_unless_it_names_an_output() {
        let mut graph = Graph::default();
        let value = |graph: &mut Graph, name| graph.add_value(name, TensorType::real([2, 3]), None);
        let [x, y, z, out] = ["x", "y", "z", "out"].map(|name| value(&mut graph, name));
        let same = || Reshape { shape: vec![2, 3] };
        graph.inputs = vec![x];
        graph.nodes.push(Node::new("identity", same(), vec![Some(x)], vec![y]));
        graph.nodes.push(Node::new("relu", Activate { activation: Activation::Relu }, vec![Some(y)], vec![z]));
        graph.nodes.push(Node::new("last", same(), vec![Some(z)], vec![out]));
        graph.outputs = vec![out];
        let graph = optimize(graph, &Fusion::none()).unwrap();
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!((names, graph.nodes[0].input(0)), (vec!["relu", "last"], Some(x)));
    }
}
