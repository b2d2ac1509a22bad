// SPDX-License-Identifier: Apache-2.0
//! A BPF object file: opened, configured, loaded, attached from.

use libbpf_sys as bpf;
use napi::bindgen_prelude::{AsyncTask, Uint8ArraySlice};
use napi::{Env, Task};
use napi_derive::napi;

use crate::error::{
    argument, c_string, check, check_pointer, closed, errno, string_at, unknown, Result,
};
use crate::link::NativeLink;
use crate::log;
use crate::map::NativeMap;
use crate::variables::{self, VariableDescription};

#[napi(object)]
pub struct OpenOptions {
    /// Names the internal maps; libbpf takes the part before the first dot.
    pub name: String,
    pub kconfig: Option<String>,
    pub btf_path: Option<String>,
    pub pin_root_path: Option<String>,
}

#[napi(object)]
pub struct ProgramDescription {
    pub name: String,
    pub section: String,
    #[napi(js_name = "type")]
    pub kind: u32,
    pub attach_type: u32,
    pub autoload: bool,
    pub instruction_count: u32,
}

#[napi(object)]
pub struct MapDescription {
    pub name: String,
    #[napi(js_name = "type")]
    pub kind: u32,
    pub key_bytes: u32,
    pub value_bytes: u32,
    pub entries_max: u32,
    pub flags: u32,
    /// Types of the object's BTF; 0 when the map declares sizes only.
    pub key_type_id: u32,
    pub value_type_id: u32,
    /// The ELF section (`.rodata`, `.bss.x`) when libbpf made this map for global variables.
    pub section: Option<String>,
}

#[napi(object)]
pub struct ProgramInfo {
    pub id: u32,
    #[napi(js_name = "type")]
    pub kind: u32,
    pub tag: String,
    pub load_time_ns: f64,
    pub jited_bytes: u32,
    pub translated_bytes: u32,
    pub verified_instructions: u32,
    pub run_time_ns: f64,
    pub run_count: f64,
    pub recursion_misses: f64,
}

#[napi]
pub struct NativeObject {
    object: *mut bpf::bpf_object,
    /// The same while another thread loads it: until then nobody may use or free it.
    loading: *mut bpf::bpf_object,
    loaded: bool,
}

/// What became of a load on another thread.
#[napi(object)]
pub struct LoadResult {
    /// 0 when it was loaded.
    pub errno: i32,
    /// What libbpf printed.
    pub log: String,
}

pub struct Load {
    object: *mut bpf::bpf_object,
}

// SAFETY: NativeObject gives the pointer up until the load has ended.
unsafe impl Send for Load {}

impl Task for Load {
    type Output = LoadResult;
    type JsValue = LoadResult;

    fn compute(&mut self) -> napi::Result<LoadResult> {
        Ok(match load(self.object) {
            Ok(_) => LoadResult {
                errno: 0,
                log: log::take_log(),
            },
            Err(error) => LoadResult {
                errno: error.status.parse().unwrap_or(libc::EIO),
                log: log::take_log(),
            },
        })
    }

    fn resolve(&mut self, _env: Env, output: LoadResult) -> napi::Result<LoadResult> {
        Ok(output)
    }
}

fn load(object: *mut bpf::bpf_object) -> Result<()> {
    log::start();
    let blocked = BlockedSignals::new();
    let result = unsafe { bpf::bpf_object__load(object) };
    drop(blocked);
    check(result, "load").map(|_| ())
}

impl Drop for NativeObject {
    fn drop(&mut self) {
        self.release();
    }
}

impl NativeObject {
    fn release(&mut self) {
        let object = std::mem::replace(&mut self.object, std::ptr::null_mut());
        unsafe { bpf::bpf_object__close(object) };
    }

    pub(crate) fn pointer(&self) -> Result<*mut bpf::bpf_object> {
        if self.object.is_null() {
            return Err(closed("object"));
        }
        Ok(self.object)
    }

    pub(crate) fn program(&self, name: &str) -> Result<*mut bpf::bpf_program> {
        let object = self.pointer()?;
        let wanted = c_string(name)?;
        let program = unsafe { bpf::bpf_object__find_program_by_name(object, wanted.as_ptr()) };
        if program.is_null() {
            return Err(unknown(format!("program {name}")));
        }
        Ok(program)
    }

    pub(crate) fn map_pointer(&self, name: &str) -> Result<*mut bpf::bpf_map> {
        let object = self.pointer()?;
        let wanted = c_string(name)?;
        let map = unsafe { bpf::bpf_object__find_map_by_name(object, wanted.as_ptr()) };
        if map.is_null() {
            return Err(unknown(format!("map {name}")));
        }
        Ok(map)
    }

    pub(crate) fn loaded_program_fd(&self, name: &str) -> Result<(*mut bpf::bpf_program, i32)> {
        let program = self.program(name)?;
        let fd = unsafe { bpf::bpf_program__fd(program) };
        if fd < 0 {
            return Err(argument(format!("program {name} is not loaded")));
        }
        Ok((program, fd))
    }

    /// Where a section's initial bytes lie, and how many they are.
    fn initial(&self, map: &str) -> Result<(*mut u8, usize)> {
        let map = self.map_pointer(map)?;
        let mut size: bpf::size_t = 0;
        let start = unsafe { bpf::bpf_map__initial_value(map, &mut size) };
        if start.is_null() {
            return Err(errno(libc::EINVAL, "initial value"));
        }
        Ok((start.cast(), size as usize))
    }
}

/// Blocks this thread's signals: the verifier gives up with EAGAIN when one is pending, and under a
/// sampling profiler one always is.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            BlockedSignals(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

#[napi]
impl NativeObject {
    /// Parses an ELF file from memory. The bytes are copied and not kept.
    #[napi(factory, catch_unwind)]
    pub fn open(bytes: &[u8], options: OpenOptions) -> Result<NativeObject> {
        log::start();
        let name = c_string(&options.name)?;
        let kconfig = options.kconfig.as_deref().map(c_string).transpose()?;
        let btf_path = options.btf_path.as_deref().map(c_string).transpose()?;
        let pin_root = options.pin_root_path.as_deref().map(c_string).transpose()?;
        let pointer_of = |text: &Option<std::ffi::CString>| {
            text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
        };
        // u64 words: libelf reads headers in place and must find them aligned.
        let mut copy = vec![0u64; bytes.len().div_ceil(8).max(1)];
        let start = copy.as_mut_ptr().cast::<u8>();
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        let options = bpf::bpf_object_open_opts {
            sz: size_of::<bpf::bpf_object_open_opts>() as bpf::size_t,
            object_name: name.as_ptr(),
            kconfig: pointer_of(&kconfig),
            btf_custom_path: pointer_of(&btf_path),
            pin_root_path: pointer_of(&pin_root),
            ..Default::default()
        };
        let object = unsafe {
            bpf::bpf_object__open_mem(start.cast(), bytes.len() as bpf::size_t, &options)
        };
        check_pointer(object, "open")?;
        Ok(NativeObject {
            object,
            loading: std::ptr::null_mut(),
            loaded: false,
        })
    }

    #[napi(catch_unwind)]
    pub fn programs(&self) -> Result<Vec<ProgramDescription>> {
        let object = self.pointer()?;
        let mut all = Vec::new();
        let mut program = std::ptr::null_mut();
        loop {
            program = unsafe { bpf::bpf_object__next_program(object, program) };
            if program.is_null() {
                return Ok(all);
            }
            all.push(unsafe {
                ProgramDescription {
                    name: string_at(bpf::bpf_program__name(program)),
                    section: string_at(bpf::bpf_program__section_name(program)),
                    kind: bpf::bpf_program__type(program),
                    attach_type: bpf::bpf_program__expected_attach_type(program),
                    autoload: bpf::bpf_program__autoload(program),
                    instruction_count: bpf::bpf_program__insn_cnt(program) as u32,
                }
            });
        }
    }

    #[napi(catch_unwind)]
    pub fn maps(&self) -> Result<Vec<MapDescription>> {
        let object = self.pointer()?;
        let mut all = Vec::new();
        let mut map = std::ptr::null_mut();
        loop {
            map = unsafe { bpf::bpf_object__next_map(object, map) };
            if map.is_null() {
                return Ok(all);
            }
            all.push(unsafe {
                MapDescription {
                    name: string_at(bpf::bpf_map__name(map)),
                    kind: bpf::bpf_map__type(map),
                    key_bytes: bpf::bpf_map__key_size(map),
                    value_bytes: bpf::bpf_map__value_size(map),
                    entries_max: bpf::bpf_map__max_entries(map),
                    flags: bpf::bpf_map__map_flags(map),
                    key_type_id: bpf::bpf_map__btf_key_type_id(map),
                    value_type_id: bpf::bpf_map__btf_value_type_id(map),
                    section: variables::section_of(object, map),
                }
            });
        }
    }

    #[napi(catch_unwind)]
    pub fn variables(&self) -> Result<Vec<VariableDescription>> {
        variables::list(self.pointer()?)
    }

    /// Copies the initial bytes of a map of global variables.
    #[napi(catch_unwind)]
    pub fn read_initial(&self, map: String, mut out: Uint8ArraySlice<'_>) -> Result<()> {
        let (start, length) = self.initial(&map)?;
        if out.len() != length {
            return Err(argument(format!(
                "{} bytes, the map has {length}",
                out.len()
            )));
        }
        // SAFETY: the lengths are equal, and libbpf's memory is not the caller's buffer.
        unsafe { std::ptr::copy_nonoverlapping(start, out.as_mut().as_mut_ptr(), length) };
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn write_initial(&self, map: String, offset: u32, bytes: &[u8]) -> Result<()> {
        if self.loaded {
            return Err(argument("the object is loaded; initial values are fixed"));
        }
        let (start, length) = self.initial(&map)?;
        let end = offset as usize + bytes.len();
        if end > length {
            return Err(argument(format!(
                "end {end} is past the map's {length} bytes"
            )));
        }
        // SAFETY: the range was checked, and libbpf's memory is not the caller's buffer.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(offset as usize), bytes.len());
        }
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn set_autoload(&self, program: String, autoload: bool) -> Result<()> {
        let program = self.program(&program)?;
        check(
            unsafe { bpf::bpf_program__set_autoload(program, autoload) },
            "set autoload",
        )?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn set_entries_max(&self, map: String, entries_max: u32) -> Result<()> {
        let map = self.map_pointer(&map)?;
        check(
            unsafe { bpf::bpf_map__set_max_entries(map, entries_max) },
            "set max_entries",
        )?;
        Ok(())
    }

    /// `BPF_PROG_TYPE_*` and `BPF_*` attach type in place of the section's; -1 leaves one as it is.
    #[napi(catch_unwind)]
    pub fn set_program_type(&self, program: String, kind: i32, attach_type: i32) -> Result<()> {
        let program = self.program(&program)?;
        if kind >= 0 {
            let result = unsafe { bpf::bpf_program__set_type(program, kind as u32) };
            check(result, "set program type")?;
        }
        if attach_type >= 0 {
            let result =
                unsafe { bpf::bpf_program__set_expected_attach_type(program, attach_type as u32) };
            check(result, "set attach type")?;
        }
        Ok(())
    }

    /// What a tracing program attaches to: a kernel function, or one of another BPF program.
    #[napi(catch_unwind)]
    pub fn set_attach_target(
        &self,
        program: String,
        target_fd: i32,
        function: String,
    ) -> Result<()> {
        let program = self.program(&program)?;
        let function = c_string(&function)?;
        log::start();
        let result =
            unsafe { bpf::bpf_program__set_attach_target(program, target_fd, function.as_ptr()) };
        check(result, "set attach target")?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn set_pin_path(&self, map: String, path: Option<String>) -> Result<()> {
        let map = self.map_pointer(&map)?;
        let path = path.as_deref().map(c_string).transpose()?;
        let pointer = path.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        check(
            unsafe { bpf::bpf_map__set_pin_path(map, pointer) },
            "set pin path",
        )?;
        Ok(())
    }

    /// Negative: leave it as it is.
    #[napi(catch_unwind)]
    pub fn set_map_shape(
        &self,
        map: String,
        key_bytes: i32,
        value_bytes: i32,
        flags: i32,
    ) -> Result<()> {
        let map = self.map_pointer(&map)?;
        if key_bytes >= 0 {
            let result = unsafe { bpf::bpf_map__set_key_size(map, key_bytes as u32) };
            check(result, "set key size")?;
        }
        if value_bytes >= 0 {
            let result = unsafe { bpf::bpf_map__set_value_size(map, value_bytes as u32) };
            check(result, "set value size")?;
        }
        if flags >= 0 {
            let result = unsafe { bpf::bpf_map__set_map_flags(map, flags as u32) };
            check(result, "set flags")?;
        }
        Ok(())
    }

    /// The shape of the maps inside a map of maps.
    #[napi(catch_unwind)]
    pub fn set_inner_map(&self, map: String, inner: &NativeMap) -> Result<()> {
        let map = self.map_pointer(&map)?;
        let copy = crate::attach::duplicate(inner.raw_fd()?)?;
        let result =
            unsafe { bpf::bpf_map__set_inner_map_fd(map, std::os::fd::AsRawFd::as_raw_fd(&copy)) };
        check(result, "set inner map")?;
        // libbpf keeps the descriptor and closes it.
        std::mem::forget(copy);
        Ok(())
    }

    /// A map that is not wanted, or that this kernel lacks, is left out.
    #[napi(catch_unwind)]
    pub fn set_autocreate(&self, map: String, autocreate: bool) -> Result<()> {
        let map = self.map_pointer(&map)?;
        check(
            unsafe { bpf::bpf_map__set_autocreate(map, autocreate) },
            "set autocreate",
        )?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn reuse(&self, map: String, other: &NativeMap) -> Result<()> {
        let map = self.map_pointer(&map)?;
        check(
            unsafe { bpf::bpf_map__reuse_fd(map, other.raw_fd()?) },
            "reuse",
        )?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn load(&mut self) -> Result<()> {
        load(self.pointer()?)?;
        self.loaded = true;
        Ok(())
    }

    /// The same on another thread. Until `end_load` the object is as if it were closed.
    #[napi(catch_unwind)]
    pub fn begin_load(&mut self) -> Result<AsyncTask<Load>> {
        let object = self.pointer()?;
        self.loading = object;
        self.object = std::ptr::null_mut();
        Ok(AsyncTask::new(Load { object }))
    }

    /// After the promise of `begin_load` was kept, and not before.
    #[napi(catch_unwind)]
    pub fn end_load(&mut self, loaded: bool) {
        self.object = std::mem::replace(&mut self.loading, std::ptr::null_mut());
        self.loaded = loaded;
    }

    /// Attaches by what the program's section says.
    #[napi(catch_unwind)]
    pub fn attach(&self, program: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let link = unsafe { bpf::bpf_program__attach(program) };
        Ok(NativeLink::new(check_pointer(link, "attach")?))
    }

    /// Attaches a task iterator that visits only one process or thread (0: all).
    #[napi(catch_unwind)]
    pub fn attach_task_iterator(&self, program: String, pid: u32, tid: u32) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let mut info = bpf::bpf_iter_link_info::default();
        info.task.pid = pid;
        info.task.tid = tid;
        let options = bpf::bpf_iter_attach_opts {
            sz: size_of::<bpf::bpf_iter_attach_opts>() as bpf::size_t,
            link_info: &mut info,
            link_info_len: size_of::<bpf::bpf_iter_link_info>() as u32,
            ..Default::default()
        };
        let link = unsafe { bpf::bpf_program__attach_iter(program, &options) };
        Ok(NativeLink::new(check_pointer(link, "attach iterator")?))
    }

    /// A handle of its own on a loaded map: it stays valid when the object is closed.
    #[napi(catch_unwind)]
    pub fn map(&self, name: String) -> Result<NativeMap> {
        let map = self.map_pointer(&name)?;
        let fd = unsafe { bpf::bpf_map__fd(map) };
        if fd < 0 || !self.loaded {
            return Err(argument(format!("map {name} is not loaded")));
        }
        NativeMap::duplicate(fd)
    }

    #[napi(catch_unwind)]
    pub fn program_info(&self, name: String) -> Result<ProgramInfo> {
        let (_, fd) = self.loaded_program_fd(&name)?;
        let mut info = bpf::bpf_prog_info::default();
        let mut size = size_of::<bpf::bpf_prog_info>() as u32;
        let result = unsafe { bpf::bpf_prog_get_info_by_fd(fd, &mut info, &mut size) };
        check(result, "program info")?;
        Ok(ProgramInfo {
            id: info.id,
            kind: info.type_,
            tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
            load_time_ns: info.load_time as f64,
            jited_bytes: info.jited_prog_len,
            translated_bytes: info.xlated_prog_len,
            verified_instructions: info.verified_insns,
            run_time_ns: info.run_time_ns as f64,
            run_count: info.run_cnt as f64,
            recursion_misses: info.recursion_misses as f64,
        })
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.release();
    }
}
