//! One walk over the pairs of inputs: every layer, and the chain up to it, at the six points.

use super::affinity::{Affinity, DOWN, Points, UP, Verdict};
use super::apart::{Apart, is_real};
use super::chain::{self, Link};
use super::floor;
use super::pooling::{PoolingReport, Winners};
use super::run::{Counted, Passes, Runner, Trace};
use super::signs::{SignReport, Signs};
use ndarray::ArrayD;
use reluctor::analysis::nonlinearity::Nonlinearity;
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::Op;
use reluctor::tensor::{Kind, Named, Shape, Tensor, row_major_slice};
use serde::Serialize;

/// Batches of pairs whose chain is judged in f64 too.
const CERTIFIED: usize = 2;

/// A network and the pairs of inputs that it is tried on.
pub struct Subject<'a> {
    /// Optimised with every activation and pool a node of its own.
    pub graph: &'a Graph,
    /// The first of each pair, batch by batch.
    pub x: &'a [Named],
    /// The second of each.
    pub y: &'a [Named],
}

/// One layer, by itself and with all that comes before it.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// Its operator; an activation's own name.
    pub op: String,
    /// Its output's sizes.
    pub shape: Shape,
    /// What it is by itself.
    pub verdict: Verdict,
    /// Of the layer by itself, relative to the terms.
    pub additivity_defect: f64,
    /// For a factor of [`UP`].
    pub homogeneity_defect_pos: f64,
    /// For a factor of [`DOWN`].
    pub homogeneity_defect_neg: f64,
    /// What rounding could make of the additivity defect.
    pub rounding_floor: f64,
    /// The largest additivity defect of an element as a multiple of its floor.
    pub of_floor: f64,
    /// Whether it is additive on the pairs of inputs, whatever it may be elsewhere.
    pub additive_on_data: bool,
    /// The network up to here.
    pub chain: Option<Chain>,
    /// Pre-activations, where it is an activation. All keys are there in JSON, null elsewhere.
    #[serde(flatten)]
    pub signs: SignKeys,
    /// Winners, where it is a maximum pool.
    pub pooling: Option<PoolingReport>,
}

/// The network up to a layer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Chain {
    /// What it is.
    pub verdict: Verdict,
    /// On the device, over all pairs.
    pub additivity_defect: f64,
    /// On the device, for [`UP`] and [`DOWN`].
    pub homogeneity_defect_pos: f64,
    /// The same below zero.
    pub homogeneity_defect_neg: f64,
    /// What rounding could make of the defect in f64, accumulated over the layers.
    pub rounding_floor: f64,
    /// The largest defect of an element in f64 as a multiple of its floor.
    pub of_floor: f64,
}

/// A layer's pre-activations as keys of the layer.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)]
pub struct SignKeys {
    pub negative_share: Option<f64>,
    pub zero_share: Option<f64>,
    pub saturated_share: Option<f64>,
    pub dead_share: Option<f64>,
    pub always_on_share: Option<f64>,
    pub mixed_share: Option<f64>,
    pub units: Option<usize>,
    pub counts: Option<SignCounts>,
    pub channels: Option<super::signs::Channels>,
    pub histogram: Option<super::signs::Histogram>,
    #[serde(skip)]
    pub is_one_map: bool,
}

/// How many.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct SignCounts {
    pub negative: u64,
    pub zero: u64,
    pub dead_units: usize,
    pub always_on_units: usize,
    pub dead_channels: usize,
    pub always_on_channels: usize,
}

impl From<SignReport> for SignKeys {
    fn from(report: SignReport) -> Self {
        SignKeys {
            negative_share: Some(report.negative_share),
            zero_share: Some(report.zero_share),
            saturated_share: Some(report.saturated_share),
            dead_share: Some(report.dead_share),
            always_on_share: Some(report.always_on_share),
            mixed_share: Some(report.mixed_share),
            units: Some(report.units),
            counts: Some(SignCounts {
                negative: report.counts[0],
                zero: report.counts[1],
                dead_units: report.dead_units,
                always_on_units: report.always_on_units,
                dead_channels: report.dead_channels,
                always_on_channels: report.always_on_channels,
            }),
            channels: Some(report.channels),
            histogram: report.histogram,
            is_one_map: report.is_one_map,
        }
    }
}

/// What was found of every layer that maps reals to reals, in order.
pub struct Measured {
    /// One for each such node.
    pub layers: Vec<Layer>,
    /// The node of each layer.
    pub nodes: Vec<usize>,
    /// For each layer, units that leave their piece of the activation and units in all; none but activations have any.
    pub mixed: Vec<[usize; 2]>,
}

impl Measured {
    /// The chain up to the graph's outputs: that of the worst of them, or up to the last layer where none of them is measured.
    pub fn network(&self, graph: &Graph) -> Option<Chain> {
        let is_output = |node: usize| graph.nodes[node].outputs.iter().any(|id| graph.outputs.contains(id));
        let layers = || self.layers.iter().zip(&self.nodes);
        let outputs = layers().filter(|&(_, &node)| is_output(node)).filter_map(|(layer, _)| layer.chain);
        let worst =
            |a: &Chain, b: &Chain| a.verdict.cmp(&b.verdict).then(a.additivity_defect.total_cmp(&b.additivity_defect));
        outputs.max_by(worst).or_else(|| layers().rev().find_map(|(layer, _)| layer.chain))
    }
}

/// What is gathered for one layer while pairs pass.
struct Gathered {
    node: usize,
    alone: Affinity,
    chain: Affinity,
    signs: Option<Signs>,
    /// Whether signs are those of both of a pair.
    both: bool,
    winners: Option<Winners>,
}

/// Tries every layer on every pair.
///
/// # Errors
/// Where the network cannot run on some input, or a bound cannot be computed.
pub fn measure(subject: &Subject<'_>, runner: &dyn Runner, passes: &Passes) -> Result<Measured> {
    let Subject { graph, x, y } = *subject;
    let apart = Apart::of(graph)?;
    let batch = x.first().map_or(1, batch_of);
    let is_alone = x.len() * batch == 1;
    let mut layers: Vec<Gathered> = apart.origin.iter().map(|&node| gathered(graph, node, batch, is_alone)).collect();
    let (whole, pieces) = (Counted::load(runner, graph, passes)?, Counted::load(runner, &apart.graph, passes)?);
    let Some(first) = x.first() else { return Err(Error::Usage("there is no input to try".to_string())) };
    let chain_zero = whole.trace(&map(first, |x| x * 0.0))?;
    let zeros = pieces.trace(&apart.inputs(|id| mapped(&chain_zero, id, |_| 0.0))?)?;
    for (x, y) in x.iter().zip(y) {
        let chain = Points {
            x: whole.trace(x)?,
            y: whole.trace(y)?,
            sum: whole.trace(&add(x, y)?)?,
            zero: chain_zero.clone(),
            up: whole.trace(&map(x, |x| UP * x))?,
            down: whole.trace(&map(x, |x| DOWN * x))?,
        };
        layers.iter_mut().try_for_each(|layer| layer.add_chain(graph, &chain))?;
        let alone = Points {
            sum: apart.inputs(|id| sum_of(&chain, id))?,
            up: apart.inputs(|id| mapped(&chain.x, id, |x| UP * x))?,
            down: apart.inputs(|id| mapped(&chain.x, id, |x| DOWN * x))?,
            x: Vec::new(),
            y: Vec::new(),
            zero: Vec::new(),
        };
        let outputs = [&alone.sum, &alone.up, &alone.down].map(|inputs| pieces.trace(inputs));
        let [sum, up, down] = outputs;
        let outputs = Points { x: &Trace::new(), y: &Trace::new(), sum: &sum?, zero: &zeros, up: &up?, down: &down? };
        for (layer, node) in layers.iter_mut().zip(&apart.graph.nodes) {
            layer.add_alone(graph, node, &chain, &alone, &outputs)?;
        }
    }
    finish(subject, layers)
}

fn gathered(graph: &Graph, index: usize, batch: usize, both: bool) -> Gathered {
    let node = &graph.nodes[index];
    let shape = &graph.value(node.outputs[0]).ty.shape;
    let item = if shape.first() == Some(&batch) { &shape[1..] } else { &shape[..] };
    let winners = match &node.op {
        Op::Pool(pool) => Winners::new(pool),
        _ => None,
    };
    let signs = Nonlinearity::of(graph, node).map(|nonlinearity| Signs::new(nonlinearity, item));
    Gathered { node: index, alone: Affinity::default(), chain: Affinity::default(), signs, both, winners }
}

impl Gathered {
    fn add_chain(&mut self, graph: &Graph, chain: &Points<Trace>) -> Result<()> {
        let node = &graph.nodes[self.node];
        let values = chain.try_map(|trace| wide(trace, node.outputs[0]))?;
        let nothing = vec![0.0; values.x.len()];
        self.chain.add(&values.map(|v| &v[..]), &values.map(|_| &nothing[..]));
        if let Some(signs) = &mut self.signs {
            // Of the first of each pair; every item is one, but for the mirror image of one that is alone.
            let seen = [Some(&chain.x), self.both.then_some(&chain.y)];
            for trace in seen.into_iter().flatten() {
                let (before, after) = (real(trace, signs.nonlinearity().input)?, real(trace, node.outputs[0])?);
                signs.add(&row_major_slice(before), &row_major_slice(after));
            }
        }
        if let (Some(winners), Some(input)) = (&mut self.winners, node.input(0)) {
            let (x, y) = (real(&chain.x, input)?, real(&chain.y, input)?);
            let (image, out) = (x.shape(), &graph.value(node.outputs[0]).ty.shape);
            winners.add(&row_major_slice(x), &row_major_slice(y), [image[2], image[3]], [out[2], out[3]]);
        }
        Ok(())
    }

    fn add_alone(
        &mut self,
        graph: &Graph,
        apart: &Node,
        chain: &Points<Trace>,
        given: &Points<Named>,
        outputs: &Points<&Trace>,
    ) -> Result<()> {
        let node = &graph.nodes[self.node];
        let (result, alone) = (node.outputs[0], apart.outputs[0]);
        let values = Points {
            x: wide(&chain.x, result)?,
            y: wide(&chain.y, result)?,
            sum: wide(outputs.sum, alone)?,
            zero: wide(outputs.zero, alone)?,
            up: wide(outputs.up, alone)?,
            down: wide(outputs.down, alone)?,
        };
        let inputs = graph.open_inputs(node).into_iter().map(|id| Ok((id, input_points(graph, id, chain, given)?)));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let bounds = floor::bounds(graph, node, |id| {
            let found = inputs.iter().find(|(known, _)| *known == id);
            found.map(|(_, points)| points.clone()).expect("every open input was collected")
        })?;
        self.alone.add(&values.map(|v| &v[..]), &bounds.map(|b| &b[..]));
        Ok(())
    }
}

/// A layer's input at the six points, as the device was given it.
fn input_points(
    graph: &Graph,
    id: ValueId,
    chain: &Points<Trace>,
    given: &Points<Named>,
) -> Result<Points<ArrayD<f64>>> {
    let name = &graph.value(id).name;
    let named = |named: &Named| {
        let found = named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
        let found = found.ok_or_else(|| Error::Internal(format!("{name} was not tried")))?;
        Ok::<_, Error>(found.as_real()?.mapv(f64::from))
    };
    let x = real(&chain.x, id)?.mapv(f64::from);
    Ok(Points {
        y: real(&chain.y, id)?.mapv(f64::from),
        sum: named(&given.sum)?,
        zero: ArrayD::zeros(x.raw_dim()),
        up: named(&given.up)?,
        down: named(&given.down)?,
        x,
    })
}

fn finish(subject: &Subject<'_>, gathered: Vec<Gathered>) -> Result<Measured> {
    let graph = subject.graph;
    let mut verdicts: Vec<Option<Verdict>> = vec![None; graph.nodes.len()];
    gathered.iter().for_each(|layer| verdicts[layer.node] = Some(layer.alone.verdict()));
    let mut links: Vec<Option<Link>> = vec![None; graph.nodes.len()];
    for (x, y) in subject.x.iter().zip(subject.y).take(CERTIFIED) {
        for (joined, link) in links.iter_mut().zip(chain::links(graph, x, y)?) {
            *joined = match (joined.take(), link) {
                (Some(one), Some(other)) => Some(one.join(other)),
                (one, other) => one.or(other),
            };
        }
    }
    let chains = chain::verdicts(graph, &verdicts, &links);
    let mixed = gathered.iter().map(|layer| {
        layer.signs.as_ref().map_or([0, 0], |signs| {
            let [units, mixed] = signs.mixed();
            [mixed, units]
        })
    });
    let mixed = mixed.collect();
    let nodes = gathered.iter().map(|layer| layer.node).collect();
    let layer = |layer: Gathered| layer.report(graph, links[layer.node].zip(chains[layer.node]));
    Ok(Measured { layers: gathered.into_iter().map(layer).collect(), nodes, mixed })
}

impl Gathered {
    fn report(&self, graph: &Graph, link: Option<(Link, Verdict)>) -> Layer {
        let node = &graph.nodes[self.node];
        let Affinity { additivity, up, down } = &self.alone;
        Layer {
            name: node.name.clone(),
            op: operator(node),
            shape: graph.value(node.outputs[0]).ty.shape.clone(),
            verdict: self.alone.verdict(),
            additivity_defect: additivity.defect(),
            homogeneity_defect_pos: up.defect(),
            homogeneity_defect_neg: down.defect(),
            rounding_floor: additivity.floor(),
            of_floor: additivity.of_floor(),
            additive_on_data: additivity.holds(),
            chain: link.map(|(link, verdict)| Chain {
                verdict,
                additivity_defect: self.chain.additivity.defect(),
                homogeneity_defect_pos: self.chain.up.defect(),
                homogeneity_defect_neg: self.chain.down.defect(),
                rounding_floor: link.affinity.additivity.floor(),
                of_floor: link.affinity.additivity.of_floor(),
            }),
            signs: self.signs.as_ref().map(|signs| signs.report().into()).unwrap_or_default(),
            pooling: self.winners.as_ref().map(Winners::report),
        }
    }
}

/// The operator's name, with what tells its kinds apart.
fn operator(node: &Node) -> String {
    match &node.op {
        Op::Activate(activate) => activate.activation.name().to_string(),
        Op::Binary(binary) => format!("{:?}", binary.function),
        Op::Unary(unary) => format!("{:?}", unary.function),
        Op::Pool(pool) if Winners::new(pool).is_some() => "MaxPool".to_string(),
        Op::Pool(_) => "AveragePool".to_string(),
        Op::Reduce(reduce) => format!("Reduce{:?}", reduce.kind),
        op => op.name().to_string(),
    }
}

fn batch_of(inputs: &Named) -> usize {
    inputs.first().and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(1)
}

fn real(trace: &Trace, id: ValueId) -> Result<&ArrayD<f32>> {
    let known = trace.get(id.0).and_then(Option::as_ref);
    known.ok_or_else(|| Error::Internal(format!("value {} was never computed", id.0)))?.as_real()
}

fn wide(trace: &Trace, id: ValueId) -> Result<Vec<f64>> {
    Ok(real(trace, id)?.iter().map(|&x| f64::from(x)).collect())
}

fn mapped(trace: &Trace, id: ValueId, f: impl Fn(f32) -> f32) -> Result<Tensor> {
    Ok(Tensor::Real(real(trace, id)?.mapv(f)))
}

fn sum_of(chain: &Points<Trace>, id: ValueId) -> Result<Tensor> {
    Ok(Tensor::Real(real(&chain.x, id)? + real(&chain.y, id)?))
}

/// Each real input, element by element.
fn map(inputs: &Named, f: impl Fn(f32) -> f32) -> Named {
    let tensor = |tensor: &Tensor| match tensor {
        Tensor::Real(array) => Tensor::Real(array.mapv(&f)),
        other => other.clone(),
    };
    inputs.iter().map(|(name, given)| (name.clone(), tensor(given))).collect()
}

fn add(x: &Named, y: &Named) -> Result<Named> {
    let sum = |((name, x), (_, y)): (&(String, Tensor), &(String, Tensor))| {
        let sum = if x.kind() == Kind::Real { Tensor::Real(x.as_real()? + y.as_real()?) } else { x.clone() };
        Ok((name.clone(), sum))
    };
    x.iter().zip(y).map(sum).collect()
}

/// Whether anything can be said of a network: some node maps reals to reals.
pub fn is_measurable(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| is_real(graph, node))
}
