// SPDX-License-Identifier: Apache-2.0
//! Maps by raw bytes.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::raw::c_void;

use libbpf_sys as bpf;
use napi::bindgen_prelude::{Uint8Array, Uint8ArraySlice};
use napi_derive::napi;

use crate::error::{argument, check, closed, errno, last_errno, string_at, Result};
use crate::memory::MappedBuffer;

#[napi(object)]
pub struct MapInfo {
    pub id: u32,
    pub name: String,
    #[napi(js_name = "type")]
    pub kind: u32,
    pub key_bytes: u32,
    /// One value, without the per-CPU copies.
    pub value_bytes: u32,
    pub entries_max: u32,
    pub flags: u32,
    /// Copies of the value: the number of possible CPUs, 1 for maps that are not per CPU.
    pub value_copies: u32,
}

#[napi(object)]
pub struct MapSnapshot {
    pub count: u32,
    pub keys: Uint8Array,
    pub values: Uint8Array,
}

#[napi]
pub struct NativeMap {
    fd: Option<OwnedFd>,
    key_bytes: usize,
    /// What one look-up writes: with all per-CPU copies, each rounded up to 8.
    transfer_bytes: usize,
    info: bpf::bpf_map_info,
    copies: u32,
}

const PER_CPU: [u32; 4] = [
    bpf::BPF_MAP_TYPE_PERCPU_HASH,
    bpf::BPF_MAP_TYPE_PERCPU_ARRAY,
    bpf::BPF_MAP_TYPE_LRU_PERCPU_HASH,
    bpf::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
];
const BATCH_ENTRIES: u32 = 1024;

fn expect(label: &str, given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    Err(argument(format!(
        "{label} has {given} bytes, the map wants {wanted}"
    )))
}

impl NativeMap {
    pub fn duplicate(fd: i32) -> Result<NativeMap> {
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(errno(last_errno(), "duplicate map fd"));
        }
        NativeMap::own(unsafe { OwnedFd::from_raw_fd(copy) })
    }

    fn own(fd: OwnedFd) -> Result<NativeMap> {
        let mut info = bpf::bpf_map_info::default();
        let mut size = size_of::<bpf::bpf_map_info>() as u32;
        let result = unsafe { bpf::bpf_map_get_info_by_fd(fd.as_raw_fd(), &mut info, &mut size) };
        check(result, "map info")?;
        let per_cpu = PER_CPU.contains(&info.type_);
        let copies = if per_cpu {
            check(unsafe { bpf::libbpf_num_possible_cpus() }, "possible CPUs")? as u32
        } else {
            1
        };
        let value = info.value_size as usize;
        let transfer_bytes = if per_cpu {
            value.next_multiple_of(8) * copies as usize
        } else {
            value
        };
        Ok(NativeMap {
            fd: Some(fd),
            key_bytes: info.key_size as usize,
            transfer_bytes,
            info,
            copies,
        })
    }

    pub fn raw_fd(&self) -> Result<i32> {
        self.fd
            .as_ref()
            .map(AsRawFd::as_raw_fd)
            .ok_or_else(|| closed("map"))
    }

    fn batch_count(&self, keys: &[u8]) -> Result<usize> {
        if self.key_bytes == 0 || keys.is_empty() || keys.len() % self.key_bytes != 0 {
            return Err(argument(format!(
                "{} bytes of keys are not a number of keys of {} bytes",
                keys.len(),
                self.key_bytes
            )));
        }
        Ok(keys.len() / self.key_bytes)
    }

    fn key_pointer(&self, key: &[u8]) -> *const c_void {
        if self.key_bytes == 0 {
            std::ptr::null()
        } else {
            key.as_ptr().cast()
        }
    }

    fn batch(&self, fd: i32, is_taking: bool) -> Result<MapSnapshot> {
        let limit = self.info.max_entries.max(1) as usize;
        let mut capacity = BATCH_ENTRIES.min(limit as u32).max(1);
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        // A hash's token is a u32 bucket, an array's is its key: 8 bytes are enough for both.
        let mut token = [0u64; 2];
        let mut count = 0usize;
        let mut first = true;
        loop {
            keys.resize((count + capacity as usize) * self.key_bytes, 0u8);
            values.resize((count + capacity as usize) * self.transfer_bytes, 0u8);
            let mut got = capacity;
            let mut next = [0u64; 2];
            let input = if first {
                std::ptr::null_mut()
            } else {
                token.as_mut_ptr().cast()
            };
            let call = if is_taking {
                bpf::bpf_map_lookup_and_delete_batch
            } else {
                bpf::bpf_map_lookup_batch
            };
            let result = unsafe {
                call(
                    fd,
                    input,
                    next.as_mut_ptr().cast(),
                    keys.as_mut_ptr().add(count * self.key_bytes).cast(),
                    values.as_mut_ptr().add(count * self.transfer_bytes).cast(),
                    &mut got,
                    std::ptr::null(),
                )
            };
            if result < 0 && result != -libc::ENOENT {
                // One bucket holds more than the batch: try again from the same place.
                if result == -libc::ENOSPC && (capacity as usize) < limit * 2 {
                    capacity *= 2;
                    continue;
                }
                return Err(errno(result, "batch read"));
            }
            count += got as usize;
            if result == -libc::ENOENT || count > limit * 2 {
                break;
            }
            token = next;
            first = false;
        }
        keys.truncate(count * self.key_bytes);
        values.truncate(count * self.transfer_bytes);
        Ok(MapSnapshot {
            count: count as u32,
            keys: Uint8Array::new(keys),
            values: Uint8Array::new(values),
        })
    }

    fn walk(&self, fd: i32) -> Result<MapSnapshot> {
        let limit = self.info.max_entries.max(1) as usize * 2;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut key = vec![0u8; self.key_bytes];
        let mut next = vec![0u8; self.key_bytes];
        let mut value = vec![0u8; self.transfer_bytes];
        let mut count = 0usize;
        let mut from: *const c_void = std::ptr::null();
        while count < limit {
            let result = unsafe { bpf::bpf_map_get_next_key(fd, from, next.as_mut_ptr().cast()) };
            if result == -libc::ENOENT {
                break;
            }
            check(result, "next key")?;
            let result = unsafe {
                bpf::bpf_map_lookup_elem(fd, next.as_ptr().cast(), value.as_mut_ptr().cast())
            };
            if result == 0 {
                keys.extend_from_slice(&next);
                values.extend_from_slice(&value);
                count += 1;
            } else if result != -libc::ENOENT {
                return Err(errno(result, "get"));
            }
            key.copy_from_slice(&next);
            from = key.as_ptr().cast();
        }
        Ok(MapSnapshot {
            count: count as u32,
            keys: Uint8Array::new(keys),
            values: Uint8Array::new(values),
        })
    }
}

#[napi]
impl NativeMap {
    /// Creates a map without an object file.
    #[allow(clippy::too_many_arguments)]
    #[napi(factory, catch_unwind)]
    pub fn create(
        kind: u32,
        name: String,
        key_bytes: u32,
        value_bytes: u32,
        entries_max: u32,
        flags: u32,
        extra: u32,
        inner: Option<&NativeMap>,
    ) -> Result<NativeMap> {
        let name = crate::error::c_string(&name)?;
        let inner_map_fd = inner.map_or(Ok(0), NativeMap::raw_fd)? as u32;
        let options = bpf::bpf_map_create_opts {
            sz: size_of::<bpf::bpf_map_create_opts>() as bpf::size_t,
            map_flags: flags,
            map_extra: u64::from(extra),
            inner_map_fd,
            ..Default::default()
        };
        let fd = unsafe {
            bpf::bpf_map_create(
                kind,
                name.as_ptr(),
                key_bytes,
                value_bytes,
                entries_max,
                &options,
            )
        };
        let fd = check(fd, "create map")?;
        NativeMap::own(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    #[napi(factory, catch_unwind)]
    pub fn open_pinned(path: String) -> Result<NativeMap> {
        let path = crate::error::c_string(&path)?;
        let fd = check(
            unsafe { bpf::bpf_obj_get(path.as_ptr()) },
            "open pinned map",
        )?;
        NativeMap::own(unsafe { OwnedFd::from_raw_fd(fd) })
            .map_err(|_| argument("what is pinned there is not a map"))
    }

    #[napi(factory, catch_unwind)]
    pub fn open_id(id: u32) -> Result<NativeMap> {
        let fd = check(unsafe { bpf::bpf_map_get_fd_by_id(id) }, "open map by id")?;
        NativeMap::own(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    #[napi(catch_unwind)]
    pub fn pin(&self, path: String) -> Result<()> {
        let path = crate::error::c_string(&path)?;
        check(
            unsafe { bpf::bpf_obj_pin(self.raw_fd()?, path.as_ptr()) },
            "pin",
        )?;
        Ok(())
    }

    /// Makes it read-only for user space, for ever.
    #[napi(catch_unwind)]
    pub fn freeze(&self) -> Result<()> {
        check(unsafe { bpf::bpf_map_freeze(self.raw_fd()?) }, "freeze")?;
        Ok(())
    }

    /// Takes a value out: of a hash by key, of a queue or stack with an empty key.
    #[napi(catch_unwind)]
    pub fn take(&self, key: &[u8], mut out: Uint8ArraySlice<'_>) -> Result<bool> {
        let fd = self.raw_fd()?;
        expect("key", key.len(), self.key_bytes)?;
        expect("output", out.len(), self.transfer_bytes)?;
        let result = unsafe {
            bpf::bpf_map_lookup_and_delete_elem(
                fd,
                self.key_pointer(key),
                out.as_mut().as_mut_ptr().cast(),
            )
        };
        if result == -libc::ENOENT {
            return Ok(false);
        }
        check(result, "take")?;
        Ok(true)
    }

    /// Writes many entries by one system call; how many were written.
    #[napi(catch_unwind)]
    pub fn set_batch(&self, keys: &[u8], values: &[u8], flags: u32) -> Result<u32> {
        let fd = self.raw_fd()?;
        let count = self.batch_count(keys)?;
        expect("values", values.len(), count * self.transfer_bytes)?;
        let options = bpf::bpf_map_batch_opts {
            sz: size_of::<bpf::bpf_map_batch_opts>() as bpf::size_t,
            elem_flags: u64::from(flags),
            ..Default::default()
        };
        let mut done = count as u32;
        let result = unsafe {
            bpf::bpf_map_update_batch(
                fd,
                keys.as_ptr().cast(),
                values.as_ptr().cast(),
                &mut done,
                &options,
            )
        };
        check(result, "batch set")?;
        Ok(done)
    }

    /// Deletes many keys by one system call. A key that is not there stops it with ENOENT.
    #[napi(catch_unwind)]
    pub fn delete_batch(&self, keys: &[u8]) -> Result<u32> {
        let fd = self.raw_fd()?;
        let mut done = self.batch_count(keys)? as u32;
        let options = bpf::bpf_map_batch_opts {
            sz: size_of::<bpf::bpf_map_batch_opts>() as bpf::size_t,
            ..Default::default()
        };
        let result =
            unsafe { bpf::bpf_map_delete_batch(fd, keys.as_ptr().cast(), &mut done, &options) };
        check(result, "batch delete")?;
        Ok(done)
    }

    /// All entries, each deleted as it is read.
    #[napi(catch_unwind)]
    pub fn take_all(&self) -> Result<MapSnapshot> {
        let fd = self.raw_fd()?;
        if self.key_bytes == 0 {
            return Err(argument("this type of map has no keys"));
        }
        self.batch(fd, true)
    }

    #[napi(catch_unwind)]
    pub fn info(&self) -> MapInfo {
        MapInfo {
            id: self.info.id,
            name: unsafe { string_at(self.info.name.as_ptr()) },
            kind: self.info.type_,
            key_bytes: self.info.key_size,
            value_bytes: self.info.value_size,
            entries_max: self.info.max_entries,
            flags: self.info.map_flags,
            value_copies: self.copies,
        }
    }

    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.raw_fd()
    }

    /// Copies a value into `out`; false when there is none.
    #[napi(catch_unwind)]
    pub fn get(&self, key: &[u8], mut out: Uint8ArraySlice<'_>) -> Result<bool> {
        let fd = self.raw_fd()?;
        expect("key", key.len(), self.key_bytes)?;
        expect("output", out.len(), self.transfer_bytes)?;
        let result = unsafe {
            bpf::bpf_map_lookup_elem(fd, self.key_pointer(key), out.as_mut().as_mut_ptr().cast())
        };
        if result == -libc::ENOENT {
            return Ok(false);
        }
        check(result, "get")?;
        Ok(true)
    }

    #[napi(catch_unwind)]
    pub fn set(&self, key: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let fd = self.raw_fd()?;
        expect("key", key.len(), self.key_bytes)?;
        expect("value", value.len(), self.transfer_bytes)?;
        let result = unsafe {
            bpf::bpf_map_update_elem(
                fd,
                self.key_pointer(key),
                value.as_ptr().cast(),
                u64::from(flags),
            )
        };
        check(result, "set")?;
        Ok(())
    }

    /// False when there was no such key.
    #[napi(catch_unwind)]
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let fd = self.raw_fd()?;
        expect("key", key.len(), self.key_bytes)?;
        let result = unsafe { bpf::bpf_map_delete_elem(fd, self.key_pointer(key)) };
        if result == -libc::ENOENT {
            return Ok(false);
        }
        check(result, "delete")?;
        Ok(true)
    }

    /// All keys and values at one moment; at most twice `entriesMax` while others write.
    #[napi(catch_unwind)]
    pub fn snapshot(&self) -> Result<MapSnapshot> {
        let fd = self.raw_fd()?;
        if self.key_bytes == 0 {
            return Err(argument("this type of map has no keys"));
        }
        match self.batch(fd, false) {
            Ok(snapshot) => Ok(snapshot),
            Err(_) => self.walk(fd),
        }
    }

    /// Maps the map's memory. `offset` and `bytes` are multiples of the page.
    #[napi(catch_unwind, ts_return_type = "ArrayBuffer")]
    pub fn mmap(&self, offset: f64, bytes: f64, writable: bool) -> Result<MappedBuffer> {
        if !(offset >= 0.0 && bytes > 0.0 && offset + bytes < 1e13) {
            return Err(argument("offset or length is out of range"));
        }
        MappedBuffer::map(self.raw_fd()?, offset as usize, bytes as usize, writable)
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.fd = None;
    }
}
