//! The fuzzer: random networks, and a fuzzer's own test, that it finds what is wrong and says it in few nodes.

use reluctor::graph::Graph;
use reluctor::plan::fault::{Fault, plan_with_faults};
use reluctor::plan::{Limits, plan};
use reluctor_lab::selftest::{Find, Planner, Subject, Tally, Witness, seeds, try_seed};
use reluctor_testing::device::gpu;

/// Networks that are tried, on a slow machine as on a fast one: about half a minute of two cores.
const NETWORKS: usize = 600;

#[test]
fn random_networks_agree_with_the_reference() {
    let subject = Subject::new(Some(gpu()));
    let mut tally = Tally::new();
    for seed in seeds(20_261_122).take(NETWORKS) {
        if let Some(find) = try_seed(seed, &subject, &mut tally) {
            panic!("network {seed}: {}\n{}", find.failure, find.network);
        }
    }
    let Tally { graphs, passed, nodes, operators, variants, known_variants, refused, .. } = tally;
    println!("selftest: {passed} of {graphs} networks, {nodes} nodes, {} operators", operators.len());
    println!("selftest: {} of {known_variants} kernel variants; refused: {refused:?}", variants.len());
    // A fuzzer that refuses everything is none.
    assert!(graphs == NETWORKS && passed * 10 >= graphs * 9, "{passed} of {graphs} networks ran; refused: {refused:?}");
}

/// What is replaced in every shader that has it, by what, and which operators may be at fault then.
const FAULTS: [(&str, &str, &[&str]); 5] = [
    ("ky * p.dilation_h) - p.pad_top", "ky) - p.pad_top", &["Conv"]),
    ("oc / p.out_c_per_group * p.in_c_per_group", "0u", &["Conv", "ConvTranspose"]),
    ("!seen || value > most", "value > most", &["MaxPool"]),
    ("select(x, a * x, x < 0.0)", "max(x, 0.0)", &["LeakyRelu", "PRelu"]),
    (
        "lane + half",
        "lane",
        &[
            "GlobalAveragePool",
            "GlobalMaxPool",
            "GroupNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "LogSoftmax",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceSum",
            "Softmax",
        ],
    ),
];

/// What the fuzzer finds within some hundred networks in an engine whose shaders have `find` replaced.
fn found(find: &str, replace: &str) -> Find {
    let fault = Fault { node: None, find: find.to_string(), replace: replace.to_string() };
    let planner: Planner<'_> = &|graph: &Graph, limits: &Limits| {
        let plan = plan(graph, limits)?;
        // Most networks have no shader with the text.
        Ok(plan_with_faults(graph, limits, std::slice::from_ref(&fault)).unwrap_or(plan))
    };
    let subject = Subject { planner, ..Subject::new(Some(gpu())) };
    let found = seeds(7).take(400).find_map(|seed| try_seed(seed, &subject, &mut Tally::new()));
    found.unwrap_or_else(|| panic!("nothing was found with '{find}' replaced"))
}

#[test]
fn wrong_kernels_are_found_and_shrunk_to_two_nodes_at_most() {
    for (find, replace, operators) in FAULTS {
        let found = found(find, replace);
        let network = &found.network;
        assert!(found.failure.wrong, "{find}: {}", found.failure);
        // Image by image too: a kernel may be chosen for one image that is not for more.
        let on_device = [Witness::DeviceUnfused, Witness::DeviceFused, Witness::BatchSplit];
        assert!(on_device.contains(&found.failure.witness), "{}", found.failure);
        assert!(network.layers.len() <= 2, "{find}: {network}");
        let last = network.layers.last().unwrap().op_type;
        assert!(operators.contains(&last), "{find}: {network}");
    }
}
