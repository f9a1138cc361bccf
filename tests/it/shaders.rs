//! Every variant's WGSL, without a device: it validates, keeps the binding convention, agrees with Rust on its parameters
//! and translates to what each platform's driver takes.

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use reluctor::kernels::{KERNELS, MEASURES, Memory, Variant, WORKGROUP, measures, variants};
use reluctor::plan::SCRATCH;
use std::collections::BTreeSet;

/// What WebGPU promises of a compute stage, less than half of it: portable kernels bind no more.
const MOST_STORAGE_BUFFERS: usize = 4;

fn parsed(variant: &Variant) -> Module {
    parsed_for(variant, Memory::default())
}

fn parsed_for(variant: &Variant, memory: Memory) -> Module {
    let source = variant.source_for(memory);
    naga::front::wgsl::parse_str(&source).unwrap_or_else(|error| panic!("{variant}: {}", error.emit_to_string(&source)))
}

fn validated(variant: &Variant, module: &Module) -> ModuleInfo {
    // No capability but that of the kernels for subgroups of 8: nothing else that a device might lack.
    let needed = if uses_subgroups(variant) { Capabilities::SUBGROUP } else { Capabilities::empty() };
    validated_with(needed, variant, module)
}

fn validated_with(capabilities: Capabilities, variant: &Variant, module: &Module) -> ModuleInfo {
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.validate(module).unwrap_or_else(|error| panic!("{variant}: {error:?}"))
}

fn uses_subgroups(variant: &Variant) -> bool {
    ["conv_subgroup", "conv_stem", "conv_winograd"].contains(&variant.kernel.name)
}

/// Whether a workgroup of so many invocations is usual: a subgroup of software adapters has eight, and a product of
/// matrices as many as its tile takes, within what WebGPU promises.
fn is_usual_workgroup(variant: &Variant, invocations: u32) -> bool {
    match variant.kernel.name {
        "conv_subgroup" | "conv_stem" | "conv_winograd" => invocations == 8,
        "conv_gemm" => invocations.is_multiple_of(WORKGROUP) && invocations <= 256,
        _ => invocations == WORKGROUP,
    }
}

/// Bytes of workgroup memory, of which WebGPU promises 16 KiB.
fn workgroup_memory(module: &Module) -> u32 {
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum()
}

/// `gemm_64x32`
fn is_gemm_tile(part: &str) -> bool {
    part.strip_prefix("gemm_").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Binding numbers with the address space of each.
fn bindings(variant: &Variant, module: &Module) -> Vec<(u32, AddressSpace)> {
    let mut bindings = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        if let Some(binding) = &variable.binding {
            assert_eq!(binding.group, 0, "{variant}");
            bindings.push((binding.binding, variable.space));
        }
    }
    bindings.sort_by_key(|(binding, _)| *binding);
    bindings
}

/// Name and byte offset of each member of the struct `Params`.
fn params(module: &Module) -> Vec<(String, usize)> {
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).expect("a struct Params");
    let TypeInner::Struct { members, .. } = &ty.inner else { panic!("Params is no struct") };
    members.iter().map(|member| (member.name.clone().unwrap_or_default(), member.offset as usize)).collect()
}

#[test]
fn every_variant_validates_and_keeps_the_binding_convention() {
    for variant in variants().chain(measures()) {
        let module = parsed(&variant);
        validated(&variant, &module);
        let mut bindings = bindings(&variant, &module);
        let read = AddressSpace::Storage { access: StorageAccess::LOAD };
        let write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        // On software adapters, which bind more than WebGPU promises.
        let scratch = bindings.pop_if(|(binding, space)| *binding == SCRATCH && *space == write);
        assert_eq!(scratch.is_some(), variant.kernel.name == "conv_winograd", "{variant}");
        for (index, &(binding, space)) in bindings.iter().enumerate() {
            let expected = [AddressSpace::Uniform, write, read][index.min(2)];
            assert_eq!((binding as usize, space), (index, expected), "{variant}");
        }
        let least = if variant.kernel.name.starts_with("roof_") { 2 } else { 3 };
        assert!((least..=1 + MOST_STORAGE_BUFFERS).contains(&bindings.len()), "{variant}: {} bindings", bindings.len());
    }
}

#[test]
fn every_variant_validates_where_memory_is_reached_by_words() {
    for variant in variants().chain(measures()) {
        let module = parsed_for(&variant, Memory::U64);
        validated_with(Capabilities::SUBGROUP | Capabilities::SHADER_INT64, &variant, &module);
        for (_, variable) in module.global_variables.iter() {
            let stored = matches!(variable.space, AddressSpace::Storage { .. });
            assert!(!stored || !is_vec4s(&module, variable.ty), "{variant}: {:?} is not InMemory", variable.name);
        }
    }
}

fn is_vec4s(module: &Module, ty: naga::Handle<naga::Type>) -> bool {
    let TypeInner::Array { base, .. } = module.types[ty].inner else { return false };
    matches!(module.types[base].inner, TypeInner::Vector { size: naga::VectorSize::Quad, .. })
}

#[test]
fn every_variant_has_one_entry_point_and_the_usual_workgroup() {
    for variant in variants().chain(measures()) {
        let module = parsed(&variant);
        let [entry] = &module.entry_points[..] else { panic!("{variant} has several entry points") };
        assert_eq!((entry.name.as_str(), entry.stage), ("main", naga::ShaderStage::Compute), "{variant}");
        let [invocations, 1, 1] = entry.workgroup_size else { panic!("{variant}: {:?}", entry.workgroup_size) };
        assert!(is_usual_workgroup(&variant, invocations), "{variant}: {invocations}");
        assert!(workgroup_memory(&module) <= 16 << 10, "{variant}: {}", workgroup_memory(&module));
    }
    assert_eq!(WORKGROUP, 64);
}

#[test]
fn rust_and_wgsl_agree_on_every_parameters_name_and_offset() {
    for variant in variants().chain(measures()) {
        let listed: Vec<_> = variant.kernel.params.iter().map(|&(name, offset)| (name.to_string(), offset)).collect();
        assert_eq!(params(&parsed(&variant)), listed, "{variant}");
    }
}

/// Without its nested members, of which the test above sees only where they start.
#[test]
fn nested_parameters_lie_as_tight_in_wgsl_as_in_rust() {
    for variant in variants().chain(measures()) {
        let module = parsed(&variant);
        let Some((_, ty)) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("PoolParams")) else {
            continue;
        };
        let TypeInner::Struct { members, span } = &ty.inner else { panic!("PoolParams is no struct") };
        let members: Vec<_> =
            members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
        assert_eq!(members, reluctor::ops::pool::PoolParams::FIELDS, "{variant}");
        assert_eq!(*span as usize, size_of::<reluctor::ops::pool::PoolParams>(), "{variant}");
    }
}

#[test]
fn every_variant_translates_to_spir_v_msl_and_hlsl() {
    for variant in variants().chain(measures()) {
        let module = parsed(&variant);
        let info = validated(&variant, &module);
        let spirv = spv::write_vec(&module, &info, &spv::Options::default(), None);
        assert!(spirv.unwrap_or_else(|error| panic!("{variant}: {error}")).len() > 100);
        let msl = msl::write_string(&module, &info, &msl::Options::default(), &msl::PipelineOptions::default());
        let (msl, _) = msl.unwrap_or_else(|error| panic!("{variant}: {error}"));
        assert!(msl.contains("kernel void main_"), "{variant}: {msl}");
        let mut text = String::new();
        let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
        written.unwrap_or_else(|error| panic!("{variant}: {error}"));
        let threads = format!("[numthreads({}, 1, 1)]", module.entry_points[0].workgroup_size[0]);
        assert!(text.contains(&threads), "{variant}: {text}");
    }
}

#[test]
fn every_shader_file_is_part_of_some_variant() {
    let mut linked: BTreeSet<String> = KERNELS.iter().chain(&MEASURES).map(|kernel| kernel.name.to_string()).collect();
    for variant in variants().chain(measures()) {
        linked.extend(variant.kernel.includes.iter().chain(&variant.parts).map(|part| part.name.to_string()));
    }
    // Written by Rust.
    linked.retain(|name| {
        let is_row = name.strip_prefix("row_").is_some_and(|taps| taps.starts_with(char::is_numeric));
        !name.starts_with("strip_") && !is_row && !is_gemm_tile(name) && name != "usual"
    });
    linked.extend(["grid", "nan", "memory_vec4", "memory_u64"].map(str::to_string)); // Linked to all.
    let shaders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut files = BTreeSet::new();
    let mut folders = vec![shaders];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                Some(_) => drop(files.insert(path.file_stem().unwrap().to_str().unwrap().to_string())),
                None => folders.push(path),
            }
        }
    }
    assert_eq!(linked, files);
}

#[test]
fn variants_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for variant in variants().chain(measures()) {
        assert!(seen.insert(variant.to_string()), "{variant} is listed twice");
    }
}

#[test]
fn a_missing_or_doubled_part_is_an_error() {
    let mut variant = variants().next().unwrap();
    let part = variant.parts.pop().unwrap();
    let entry_points =
        |variant: &Variant| naga::front::wgsl::parse_str(&variant.source()).map(|m| m.entry_points.len());
    assert!(!matches!(entry_points(&variant), Ok(1)), "no entry point");
    variant.parts.extend([part, part]);
    assert!(entry_points(&variant).is_err(), "two of one name");
}
