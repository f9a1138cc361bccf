//! Tests of these tests: a fusion that is wrong in one way is found by the orders, by the self-test, and is traced to its rewrite.

use super::{CHAINS, Chains, OF_F64, ONCE, every_stage, orders, sample};
use reluctor::passes::fault::FusionFault;
use reluctor::passes::{Fusion, optimize, optimize_up_to};
use reluctor_lab::compare::first_wrong_rewrite;
use reluctor_lab::selftest::{Optimizer, Subject, Tally, Witness, seeds, try_seed};

/// Graphs of orders in which each wrong fusion is found.
const GRAPHS: usize = 12;
/// Random networks in which each wrong fusion is found.
const NETWORKS: usize = 1000;

/// Orders of two stages, each stage in all of them.
fn graphs() -> impl Iterator<Item = Chains> {
    let orders = sample(orders(2, &every_stage(), &[2], ONCE), 17);
    let chunks: Vec<Vec<_>> = orders.chunks(CHAINS).map(<[_]>::to_vec).collect();
    chunks.into_iter().enumerate().filter_map(|(seed, orders)| Chains::of(&orders, seed as u64))
}

#[test]
fn each_wrong_fusion_is_found_by_the_orders() {
    for (name, fault) in FusionFault::ALL {
        let found = graphs().take(GRAPHS).position(|chains| {
            let wanted = chains.in_f64(&optimize(chains.graph.clone(), &Fusion::none()).unwrap());
            let mut fused = optimize(chains.graph.clone(), &Fusion::all()).unwrap();
            let edited = fault.inject(&mut fused);
            fused.validate().unwrap();
            edited > 0 && !chains.wrong(&wanted, &chains.in_f64(&fused), OF_F64).is_empty()
        });
        assert!(found.is_some(), "{name} is not found in {GRAPHS} graphs");
    }
}

#[test]
fn each_wrong_fusion_is_found_by_the_self_test() {
    for (name, fault) in FusionFault::ALL {
        let optimizer: Optimizer<'_> = &|graph, fusion| {
            let mut graph = optimize(graph, fusion)?;
            fault.inject(&mut graph);
            Ok(graph)
        };
        let subject = Subject { optimizer, ..Subject::new(None) };
        let mut tried = 0;
        let found = seeds(3).take(NETWORKS).find_map(|seed| {
            tried += 1;
            try_seed(seed, &subject, &mut Tally::new())
        });
        let found = found.unwrap_or_else(|| panic!("{name} is not found in {NETWORKS} networks"));
        println!("{name}: found in network {tried}, {} nodes", found.network.layers.len());
        assert!(found.failure.wrong && found.failure.witness == Witness::Fusion, "{name}: {}", found.failure);
    }
}

#[test]
fn a_wrong_fusion_is_traced_to_the_rewrite_after_which_outputs_are_wrong() {
    let chains = graphs().next().unwrap();
    let unfused = optimize(chains.graph.clone(), &Fusion::none()).unwrap();
    let wanted = chains.in_f64(&unfused);
    let (_, rewrites) = optimize_up_to(unfused.clone(), &Fusion::all(), usize::MAX).unwrap();
    assert!(rewrites.len() > 20, "{rewrites:?}");
    for (_, fault) in [FusionFault::ALL[0], FusionFault::ALL[1]] {
        let mut is_right = |most: usize| {
            let (mut graph, _) = optimize_up_to(unfused.clone(), &Fusion::all(), most)?;
            fault.inject(&mut graph);
            Ok(chains.wrong(&wanted, &chains.in_f64(&graph), OF_F64).is_empty())
        };
        let at = first_wrong_rewrite(rewrites.len(), &mut is_right).unwrap().expect("it is wrong with all of them");
        assert!(is_right(at).unwrap() && !is_right(at + 1).unwrap(), "rewrite {at}: {:?}", rewrites[at]);
    }
    assert_eq!(first_wrong_rewrite(rewrites.len(), &mut |_| Ok(false)).unwrap(), None, "wrong without any rewrite");
}
