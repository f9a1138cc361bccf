//! A plan's device buffers, and how host data gets into them.

use super::Gpu;
use crate::error::{Error, Result, escape};
use crate::plan::{Buffer, BufferId, Plan, View};
use std::ops::Range;

/// No buffer and no binding is shorter than a `vec4<f32>`: wgpu rejects empty ones, and kernels may load vec4s.
const SMALLEST: u64 = 16;

/// Host data waiting in staging memory is flushed beyond this many bytes, so that large weights are not held twice.
const STAGING: usize = 64 << 20;

/// The quiet NaN that [`Buffers::poison`] writes.
const POISON: u32 = 0x7fc0_0000;

/// Bytes of poison written at a time.
const POISON_CHUNK: usize = 1 << 20;

/// One wgpu buffer for each buffer of a plan, in the plan's order.
#[derive(Debug)]
pub(super) struct Buffers(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    label: String,
    buffer: wgpu::Buffer,
    /// Whether tensors share it in turn, as opposed to weights that stay.
    scratch: bool,
}

impl Buffers {
    /// Allocates every buffer of the plan and uploads the contents known at load.
    pub(super) fn allocate(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let buffers = Buffers(plan.buffers.iter().map(|buffer| allocate(gpu, buffer)).collect::<Result<_>>()?);
        let queue = gpu.queue();
        let mut upload = Upload::new(gpu, &queue);
        for (slot, buffer) in buffers.0.iter().zip(&plan.buffers) {
            if let Some(contents) = &buffer.contents {
                upload.write(&slot.label, &slot.buffer, 0, bytemuck::cast_slice(contents))?;
            }
        }
        upload.flush()?;
        Ok(buffers)
    }

    /// The buffer of a view and the view's bytes in it, or an error where the plan points beyond its own buffers.
    pub(super) fn range(&self, view: &View) -> Result<(&wgpu::Buffer, Range<u64>)> {
        let slot = self.slot(view.buffer)?;
        match view.offset.checked_add(view.bytes) {
            Some(end) if end <= slot.buffer.size() => Ok((&slot.buffer, view.offset..end)),
            _ => Err(Error::Internal(format!("{view:?} lies beyond its buffer '{}'", slot.label))),
        }
    }

    /// What a dispatch binds for a view.
    pub(super) fn binding(&self, gpu: &Gpu, view: &View) -> Result<wgpu::BufferBinding<'_>> {
        let (buffer, range) = self.range(view)?;
        // An empty tensor may lie at its buffer's very end.
        let offset = if range.is_empty() { 0 } else { range.start };
        // A kernel that loads four numbers at a time may ask for the last ones of a tensor that ends among them.
        let size = padded(view.bytes).min(buffer.size() - offset);
        let limit = gpu.device.limits().max_storage_buffer_binding_size;
        within(&self.slot(view.buffer)?.label, size, limit, "max_storage_buffer_binding_size")?;
        Ok(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(size) })
    }

    /// Fills every shared buffer with NaN.
    pub(super) fn poison(&self, gpu: &Gpu) -> Result<()> {
        let pattern = vec![POISON; POISON_CHUNK / 4];
        let queue = gpu.queue();
        let mut upload = Upload::new(gpu, &queue);
        for slot in self.0.iter().filter(|slot| slot.scratch) {
            for start in (0..slot.buffer.size()).step_by(POISON_CHUNK) {
                let len = (slot.buffer.size() - start).min(POISON_CHUNK as u64) as usize;
                upload.write(&slot.label, &slot.buffer, start, &bytemuck::cast_slice(&pattern)[..len])?;
            }
        }
        upload.flush()
    }

    fn slot(&self, id: BufferId) -> Result<&Slot> {
        self.0.get(id.0).ok_or_else(|| Error::Internal(format!("the plan has no buffer {}", id.0)))
    }
}

fn allocate(gpu: &Gpu, Buffer { label, bytes, contents }: &Buffer) -> Result<Slot> {
    let label = escape(label);
    let held = contents.as_ref().map_or(0, |contents| contents.len() as u64 * 4);
    if held > *bytes {
        return Err(Error::Internal(format!("buffer '{label}' of {bytes} bytes is to hold {held}")));
    }
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    Ok(Slot { buffer: create(gpu, &label, padded(*bytes), usage)?, label, scratch: contents.is_none() })
}

/// How large a buffer is that holds so many bytes.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(SMALLEST).unwrap_or(u64::MAX).max(SMALLEST)
}

/// A new buffer of `size` bytes, or an error that names it.
pub(super) fn create(gpu: &Gpu, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    within(label, size, gpu.device.limits().max_buffer_size, "max_buffer_size")?;
    gpu.checked(format_args!("buffer '{label}' of {size} bytes"), || {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        Ok(gpu.device.create_buffer(&descriptor))
    })
}

fn within(tensor: &str, needed: u64, limit: u64, limit_name: &'static str) -> Result<()> {
    if needed <= limit {
        return Ok(());
    }
    Err(Error::DeviceLimit { tensor: tensor.to_string(), needed, limit, limit_name, unit: "bytes" })
}

/// Host data on its way to device buffers. What is written here runs on the device before the next submission.
pub(super) struct Upload<'a> {
    gpu: &'a Gpu,
    queue: &'a wgpu::Queue,
    staged: usize,
}

impl<'a> Upload<'a> {
    /// Nothing staged yet.
    pub(super) fn new(gpu: &'a Gpu, queue: &'a wgpu::Queue) -> Self {
        Upload { gpu, queue, staged: 0 }
    }

    /// Writes `data`, of a multiple of four bytes, to `buffer` from `offset` on.
    pub(super) fn write(&mut self, label: &str, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) -> Result<()> {
        for (index, chunk) in data.chunks(STAGING).enumerate() {
            let start = offset + (index * STAGING) as u64;
            self.gpu.checked(format_args!("writing '{label}'"), || {
                self.queue.write_buffer(buffer, start, chunk);
                Ok(())
            })?;
            self.staged += chunk.len();
            if self.staged >= STAGING {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Waits until everything written so far is on the device.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.staged = 0;
        let submission = self.gpu.checked("upload", || Ok(self.queue.submit([])))?;
        self.gpu.wait(self.queue, submission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fixture::{self, SCALE};

    #[test]
    fn a_buffer_beyond_the_devices_limit_is_named() {
        let gpu = fixture::gpu();
        let mut plan = fixture::chain(&SCALE, 4);
        plan.buffers[1].bytes = u64::MAX - 64;
        let error = gpu.load(&plan).unwrap_err();
        let Error::DeviceLimit { tensor, limit, limit_name, .. } = error else { panic!("{error}") };
        assert_eq!((tensor.as_str(), limit_name), ("b", "max_buffer_size"));
        assert_eq!(limit, gpu.limits().max_buffer_size);
    }

    #[test]
    fn a_view_beyond_its_buffer_is_an_error_and_not_a_crash() {
        for (offset, bytes) in [(256, 16), (u64::MAX, 16), (0, 1 << 20)] {
            let mut plan = fixture::chain(&SCALE, 4);
            plan.steps[0].dispatches[0].output = View { buffer: BufferId(1), offset, bytes };
            assert!(matches!(fixture::gpu().load(&plan), Err(Error::Internal(_))));
        }
        let mut plan = fixture::chain(&SCALE, 4);
        plan.steps[0].dispatches[0].output.buffer = BufferId(99);
        assert!(matches!(fixture::gpu().load(&plan), Err(Error::Internal(_))));
    }

    #[test]
    fn data_larger_than_the_staging_memory_arrives_whole() {
        let gpu = fixture::gpu();
        let plan = fixture::chain(&SCALE, STAGING / 4 + 3);
        let input = fixture::ramp(STAGING / 4 + 3);
        let session = gpu.load(&plan).unwrap();
        session.poison().unwrap();
        let outputs = session.run(&[("a", &input)]).unwrap();
        let expected = input.as_real().unwrap().mapv(|x| x * 6.0);
        assert_eq!(outputs[0].1.as_real().unwrap(), &expected);
    }
}
