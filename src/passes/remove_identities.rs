//! Nodes that return what they are given (Identity, Dropout, a Reshape to the same shape): their readers read what they read,
//! so that nothing stands between a convolution and what could be fused into it.

use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use std::collections::{HashMap, HashSet};

pub(super) fn run(graph: &mut Graph) {
    // The network's outputs keep their names.
    let given_back: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    let mut stands_for: HashMap<ValueId, ValueId> = HashMap::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for slot in node.inputs.iter_mut().flatten() {
            *slot = stands_for.get(slot).copied().unwrap_or(*slot);
        }
        match (&node.op, node.input(0), &node.outputs[..]) {
            (Op::Reshape(_), Some(input), &[output])
                if !given_back.contains(&output) && graph.value(input).ty == graph.value(output).ty =>
            {
                stands_for.insert(output, input);
            }
            _ => graph.nodes.push(node),
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
