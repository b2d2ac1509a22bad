// SPDX-License-Identifier: Apache-2.0
//! Addresses to names, by blazesym. Mappings, perf maps and Go are `src/`'s work.

use std::path::{Path, PathBuf};

use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{CodeInfo, Input, Symbolized, Symbolizer};
use napi::bindgen_prelude::BigUint64ArraySlice;
use napi_derive::napi;

use crate::error::{closed, Failure, Result};

#[napi(object)]
pub struct NativeInlined {
    pub name: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

#[napi(object)]
pub struct NativeSymbol {
    /// Empty when the address has no name.
    pub name: String,
    /// Where the function starts, as in the file's symbol table.
    pub address: f64,
    /// Bytes from there to the address that was asked for.
    pub offset: f64,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// Why there is no name.
    pub reason: Option<String>,
    /// Functions that were inlined at the address, outermost first.
    pub inlined: Vec<NativeInlined>,
}

#[napi]
pub struct NativeSymbolizer {
    symbolizer: Option<Symbolizer>,
}

fn failure(error: &blazesym::Error) -> Failure {
    let word = match error.kind() {
        blazesym::ErrorKind::NotFound => libc::ENOENT.to_string(),
        blazesym::ErrorKind::PermissionDenied => libc::EPERM.to_string(),
        blazesym::ErrorKind::OutOfMemory => libc::ENOMEM.to_string(),
        _ => "argument".to_owned(),
    };
    Failure::new(word, format!("{error:#}"))
}

fn location(info: Option<&CodeInfo<'_>>) -> (Option<String>, Option<u32>, Option<u32>) {
    info.map_or((None, None, None), |code| {
        let file = code.to_path().to_string_lossy().into_owned();
        (Some(file), code.line, code.column.map(u32::from))
    })
}

fn to_symbol(found: &Symbolized<'_>) -> NativeSymbol {
    match found {
        Symbolized::Sym(symbol) => {
            let (file, line, column) = location(symbol.code_info.as_deref());
            let inlined = symbol.inlined.iter().map(|each| {
                let (file, line, column) = location(each.code_info.as_ref());
                NativeInlined {
                    name: each.name.to_string(),
                    file,
                    line,
                    column,
                }
            });
            NativeSymbol {
                name: symbol.name.to_string(),
                address: symbol.addr as f64,
                offset: symbol.offset as f64,
                file,
                line,
                column,
                reason: None,
                inlined: inlined.collect(),
            }
        }
        Symbolized::Unknown(reason) => NativeSymbol {
            name: String::new(),
            address: 0.0,
            offset: 0.0,
            file: None,
            line: None,
            column: None,
            reason: Some(reason.to_string()),
            inlined: Vec::new(),
        },
    }
}

#[napi]
impl NativeSymbolizer {
    #[napi(factory, catch_unwind)]
    pub fn create(code_info: bool, debug_dirs: Option<Vec<String>>) -> NativeSymbolizer {
        let builder = Symbolizer::builder()
            .enable_code_info(code_info)
            .enable_inlined_fns(code_info);
        let builder = match debug_dirs {
            Some(paths) => builder.set_debug_dirs(Some(paths.into_iter().map(PathBuf::from))),
            None => builder,
        };
        NativeSymbolizer {
            symbolizer: Some(builder.build()),
        }
    }

    /// Addresses as in the file (`p_vaddr`), one answer each.
    #[napi(catch_unwind)]
    pub fn file(
        &self,
        path: String,
        addresses: BigUint64ArraySlice<'_>,
        debug_symbols: bool,
    ) -> Result<Vec<NativeSymbol>> {
        let mut elf = Elf::new(Path::new(&path));
        elf.debug_syms = debug_symbols;
        self.run(&Source::Elf(elf), Input::VirtOffset(&addresses))
    }

    #[napi(catch_unwind)]
    pub fn kernel(&self, addresses: BigUint64ArraySlice<'_>) -> Result<Vec<NativeSymbol>> {
        let source = Source::Kernel(Kernel::default());
        self.run(&source, Input::AbsAddr(&addresses))
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.symbolizer = None;
    }
}

impl NativeSymbolizer {
    fn run(&self, source: &Source<'_>, input: Input<&[u64]>) -> Result<Vec<NativeSymbol>> {
        let symbolizer = self
            .symbolizer
            .as_ref()
            .ok_or_else(|| closed("symbolizer"))?;
        let found = symbolizer
            .symbolize(source, input)
            .map_err(|error| failure(&error))?;
        Ok(found.iter().map(to_symbol).collect())
    }
}

/// A C++ or Rust name made readable; any other comes back as it is.
#[napi(catch_unwind)]
pub fn demangle(name: String) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(&name) {
        return format!("{rust:#}");
    }
    let options = cpp_demangle::DemangleOptions::default();
    cpp_demangle::Symbol::new(name.as_bytes())
        .ok()
        .and_then(|symbol| symbol.demangle_with_options(&options).ok())
        .unwrap_or(name)
}
