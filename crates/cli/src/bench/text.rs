//! The report as people read it in a terminal.

use super::report::Report;
use crate::console::Console;
use crate::profile::print_steps;
use crate::quantity::{bytes, flops, milliseconds, shortened};
use reluctor::error::{Result, escape};
use reluctor_lab::bench::growth::Growth;
use reluctor_lab::bench::saving::Saving;
use reluctor_lab::bench::{Ratio, named};

/// Savings that are shown to people; JSON has them all.
const SAVINGS_SHOWN: usize = 10;

impl Report {
    pub fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("subject  {}", escape(&self.subject)))?;
        console.line(format_args!("device   {}, {}, {} caches", self.device, self.precision.name(), self.cache))?;
        let roofs = &self.roofs;
        console.line(format_args!(
            "roofs    {:.1} GFLOP/s, {:.1} GB/s, {:.1} us a launch, measured on this device",
            roofs.gflops_f32, roofs.gbps, roofs.launch_us
        ))?;
        console.line("checked before it was timed; 1 multiply-add = 2 flops\n")?;
        print_steps(&self.results, console)?;
        console.line("")?;
        self.print_around(console)?;
        self.print_ways(console)?;
        self.print_savings(console)?;
        if let Some(growth) = &self.growth {
            print_growth(growth, console)?;
        }
        if let Some(against) = &self.against {
            let verdict = verdict(&against.ratio, "this run is", "as fast");
            console.line(format_args!(
                "\nagainst {} (version {}): {verdict}",
                against.file,
                escape(&against.version)
            ))?;
        }
        for line in &self.diagnostics {
            console.line(format_args!("warning: {line}"))?;
        }
        Ok(())
    }

    fn print_around(&self, console: &Console) -> Result<()> {
        let Some(around) = &self.around else { return Ok(()) };
        let wall = self.total_ms.median;
        console.line(format_args!("a run takes {} by the wall clock, of which", milliseconds(wall)))?;
        let parts = [
            ("the steps", around.steps_ms),
            ("between them", around.gaps_ms),
            ("upload", around.upload_ms),
            ("encode and submit", around.encode_ms),
            ("readback", around.readback_ms),
            ("unattributed", around.unattributed_ms),
        ];
        for (name, ms) in parts {
            console.line(format_args!("    {name:<18} {:>9}  {:>5.1} %", milliseconds(ms), 100.0 * ms / wall))?;
        }
        console.line("")
    }

    fn print_ways(&self, console: &Console) -> Result<()> {
        let cells = |cells: Vec<String>| cells.into_iter().map(|cell| format!("{cell:>9}  ")).collect::<String>();
        let named = self.percentiles.iter().map(|&percent| named(percent)).collect();
        console.line(format_args!(
            "{:<44}  {:<8}  {:>9}  {:>9}  {:>9}  {}{:>5}  {:>9}  {:>10}  {:>9}",
            "wall clock",
            "",
            "median",
            "mad",
            "min",
            cells(named),
            "runs",
            "on device",
            "dispatches",
            "memory"
        ))?;
        for (at, ways) in self.ways.chunks(self.ways_each()).enumerate() {
            for way in ways {
                let ms = &way.ms;
                let percentiles =
                    self.percentiles.iter().map(|&percent| milliseconds(ms.percentile(percent))).collect();
                console.line(format_args!(
                    "{:<44}  {:<8}  {:>9}  {:>9}  {:>9}  {}{:>5}  {:>9}  {:>10}  {:>9}",
                    shortened(&way.subject, 44),
                    way.name,
                    milliseconds(ms.median),
                    milliseconds(ms.mad),
                    milliseconds(ms.min),
                    cells(percentiles),
                    ms.runs,
                    way.device_ms.map_or("-".to_string(), milliseconds),
                    way.dispatches,
                    bytes(way.memory)
                ))?;
            }
            if let Some(fusion) = self.fusion.get(at) {
                console.line(format_args!("    {}", verdict(&fusion.ratio, "fused is", "as fast")))?;
            }
        }
        Ok(())
    }

    fn print_savings(&self, console: &Console) -> Result<()> {
        let mut savings: Vec<&Saving> = self.savings.iter().collect();
        savings.sort_by(|a, b| b.measured_ms.abs().total_cmp(&a.measured_ms.abs()));
        if !savings.is_empty() {
            console.line("\nwhat fusing saves on the device; predicted from bytes and launches by the roofs")?;
        }
        for Saving { name, fused, bytes: saved, launches, predicted_ms, measured_ms, .. } in
            savings.iter().take(SAVINGS_SHOWN)
        {
            let sign = if *saved < 0 { "-" } else { "" };
            console.line(format_args!(
                "    {:<28}  {} nodes  {sign}{:>9}  {launches:>2} launches  predicted {:>9}  measured {:>9}",
                shortened(name, 28),
                fused.len(),
                bytes(saved.unsigned_abs()),
                milliseconds(*predicted_ms),
                milliseconds(*measured_ms)
            ))?;
        }
        if savings.len() > SAVINGS_SHOWN {
            console.line(format_args!("    and {} more; --json has them all", savings.len() - SAVINGS_SHOWN))?;
        }
        Ok(())
    }
}

/// A claim, or that none can be made.
pub fn verdict(ratio: &Ratio, what: &str, how: &str) -> String {
    let [low, high] = ratio.ci95;
    if ratio.is_measurable() {
        format!("{what} {:.2} times {how} (95 % interval {low:.2} to {high:.2})", ratio.speedup)
    } else {
        format!("no measurable difference (95 % interval of the ratio {low:.2} to {high:.2})")
    }
}

fn print_growth(growth: &Growth, console: &Console) -> Result<()> {
    console.line(format_args!(
        "\n{:>10}  {:>9}  {:>10}  {:>12}  {:>6}",
        growth.axis.to_string(),
        "median",
        "memory",
        "work",
        "% roof"
    ))?;
    for point in &growth.points {
        console.line(format_args!(
            "{:>10}  {:>9}  {:>10}  {:>12}  {:>6.1}",
            point.size,
            milliseconds(point.ms),
            bytes(point.memory),
            flops(point.flops),
            point.percent_of_roof
        ))?;
    }
    console.line(in_words(growth))
}

/// The fitted exponent, and where it bends.
pub fn in_words(growth: &Growth) -> String {
    let axis = growth.axis;
    let whole = format!("time grows as {axis}^{:.2}", growth.exponent);
    match growth.bend {
        Some(bend) => {
            format!("{whole}; as {axis}^{:.2} up to {} and {axis}^{:.2} from there", bend.before, bend.at, bend.after)
        }
        None => format!("{whole}, without a bend"),
    }
}
