// SPDX-License-Identifier: Apache-2.0
//! Global variables by name, from the BTF of `.rodata`, `.data` and `.bss`.

use libbpf_sys as bpf;
use napi_derive::napi;

use crate::error::{string_at, Result};

#[napi(object)]
pub struct VariableDescription {
    pub name: String,
    /// The map's name, for the calls that take one.
    pub map: String,
    /// The ELF section, `.rodata` for instance.
    pub section: String,
    pub offset: u32,
    pub bytes: u32,
    /// The variable's type in the object's BTF.
    pub type_id: u32,
    /// `int`, `bool`, `float`, `enum` or `bytes` for all that has a structure.
    pub kind: String,
    pub signed: bool,
}

const KIND_INT: u32 = bpf::BTF_KIND_INT;
const QUALIFIERS: [u32; 5] = [
    bpf::BTF_KIND_TYPEDEF,
    bpf::BTF_KIND_VOLATILE,
    bpf::BTF_KIND_CONST,
    bpf::BTF_KIND_RESTRICT,
    bpf::BTF_KIND_TYPE_TAG,
];
/// A chain of typedefs and qualifiers is short; the bound is for hostile BTF.
const CHAIN_MAX: usize = 32;

fn kind_of(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

unsafe fn type_at<'a>(btf: *const bpf::btf, id: u32) -> Option<&'a bpf::btf_type> {
    unsafe { bpf::btf__type_by_id(btf, id).as_ref() }
}

/// The ELF section behind an internal map, by its BTF.
///
/// # Safety
/// `object` and `map` are alive.
pub unsafe fn section_of(object: *mut bpf::bpf_object, map: *const bpf::bpf_map) -> Option<String> {
    unsafe {
        if !bpf::bpf_map__is_internal(map) {
            return None;
        }
        let btf = bpf::bpf_object__btf(object);
        if btf.is_null() {
            return None;
        }
        let section = type_at(btf, bpf::bpf_map__btf_value_type_id(map))?;
        if kind_of(section.info) != bpf::BTF_KIND_DATASEC {
            return None;
        }
        Some(string_at(bpf::btf__name_by_offset(btf, section.name_off)))
    }
}

unsafe fn scalar_of(btf: *const bpf::btf, mut id: u32) -> (&'static str, bool) {
    for _ in 0..CHAIN_MAX {
        let Some(kind) = (unsafe { type_at(btf, id) }) else {
            return ("bytes", false);
        };
        let number = kind_of(kind.info);
        if QUALIFIERS.contains(&number) {
            id = unsafe { kind.__bindgen_anon_1.type_ };
            continue;
        }
        return match number {
            KIND_INT => {
                // The word after the type: encoding in bits 24 to 27.
                let word = unsafe { *std::ptr::from_ref(kind).add(1).cast::<u32>() };
                let encoding = (word >> 24) & 0xf;
                if encoding & bpf::BTF_INT_BOOL != 0 {
                    ("bool", false)
                } else {
                    ("int", encoding & bpf::BTF_INT_SIGNED != 0)
                }
            }
            bpf::BTF_KIND_ENUM | bpf::BTF_KIND_ENUM64 => ("enum", kind.info >> 31 == 1),
            bpf::BTF_KIND_FLOAT => ("float", true),
            _ => ("bytes", false),
        };
    }
    ("bytes", false)
}

pub fn list(object: *mut bpf::bpf_object) -> Result<Vec<VariableDescription>> {
    let mut all = Vec::new();
    let btf = unsafe { bpf::bpf_object__btf(object) };
    let mut map = std::ptr::null_mut();
    loop {
        map = unsafe { bpf::bpf_object__next_map(object, map) };
        if map.is_null() {
            return Ok(all);
        }
        let Some(section_name) = (unsafe { section_of(object, map) }) else {
            continue;
        };
        let map_name = unsafe { string_at(bpf::bpf_map__name(map)) };
        let Some(section) = (unsafe { type_at(btf, bpf::bpf_map__btf_value_type_id(map)) }) else {
            continue;
        };
        let count = (section.info & 0xffff) as usize;
        let first = unsafe {
            std::ptr::from_ref(section)
                .add(1)
                .cast::<bpf::btf_var_secinfo>()
        };
        for index in 0..count {
            let entry = unsafe { &*first.add(index) };
            let Some(variable) = (unsafe { type_at(btf, entry.type_) }) else {
                continue;
            };
            if kind_of(variable.info) != bpf::BTF_KIND_VAR {
                continue;
            }
            let (kind, signed) = unsafe { scalar_of(btf, variable.__bindgen_anon_1.type_) };
            all.push(VariableDescription {
                name: unsafe { string_at(bpf::btf__name_by_offset(btf, variable.name_off)) },
                map: map_name.clone(),
                section: section_name.clone(),
                offset: entry.offset,
                bytes: entry.size,
                type_id: unsafe { variable.__bindgen_anon_1.type_ },
                kind: kind.to_owned(),
                signed,
            });
        }
    }
}
