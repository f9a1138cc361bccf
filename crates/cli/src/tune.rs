//! `reluctor tune`: what was measured on a device, for people and for other machines.

use super::console::Console;
use super::device_args::{Device, DeviceArgs, stored};
use super::exit::{Code, FINE};
use super::quantity::{count, milliseconds};
use clap::Args;
use reluctor::error::{Error, Result, escape};
use reluctor_lab::tune::Table;
use reluctor_lab::tune::store::{Store, export};
use std::path::PathBuf;

#[derive(Args)]
pub struct TuneCommandArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Write what was measured on this device to a file
    #[arg(long, value_name = "FILE", conflicts_with = "import")]
    export: Option<PathBuf>,
    /// Add what was measured elsewhere, on the adapter and driver that the file names
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &TuneCommandArgs, console: &Console) -> Result<Code> {
    let store = Store::of_user().ok_or_else(|| Error::Usage("there is no cache folder for this user".to_string()))?;
    if let Some(path) = &args.import {
        let table = store.import(path)?;
        show(&table, &store, args.json, console)?;
        return Ok(FINE);
    }
    let Device::Gpu(gpu) = args.device.open(console)? else {
        return Err(Error::Usage("the CPU executor has nothing to tune; choose an adapter with --device".to_string()));
    };
    let table = stored(&gpu, Some(&store));
    match &args.export {
        Some(path) => export(&table, path)?,
        None => show(&table, &store, args.json, console)?,
    }
    Ok(FINE)
}

fn show(table: &Table, store: &Store, json: bool, console: &Console) -> Result<()> {
    if json {
        return console.json(table);
    }
    let key = &table.key;
    console.line(escape(&format!("{} ({}, {})", key.adapter, key.backend, key.driver)))?;
    console.line(format_args!("version {}, shaders {}", key.engine, key.shaders))?;
    console.line(escape(&store.path(key).display().to_string()))?;
    console.line(format_args!("{} convolutions measured; --tune adds to them", count(table.fastest.len() as u64)))?;
    for (problem, fastest) in &table.fastest {
        let rule = match fastest.rule_ms {
            _ if fastest.rule == fastest.candidate => "as the rule says".to_string(),
            Some(ms) => format!("where {} takes {}", fastest.rule, milliseconds(ms)),
            None => format!("where {} is wrong", fastest.rule),
        };
        let line = format!("{problem}: {} in {}, {rule}", fastest.candidate, milliseconds(fastest.ms));
        console.line(escape(&line))?;
    }
    for (problem, wrong) in &table.quarantined {
        for wrong in wrong {
            console.line(escape(&format!("{problem}: never {}, which {}", wrong.candidate, wrong.reason)))?;
        }
    }
    Ok(())
}
