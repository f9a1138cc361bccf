//! Device data on its way back to the host.

use super::Gpu;
use super::buffers::{self, Buffers};
use crate::error::{Error, Result, escape};
use crate::plan::{Port, numbers};
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::sync::mpsc;

/// A buffer that the host can map, reused from run to run.
#[derive(Debug)]
pub(super) struct Readback(wgpu::Buffer);

impl Readback {
    /// Room for `bytes` bytes.
    pub(super) fn allocate(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        buffers::create(gpu, "readback", bytes.max(16), usage).map(Readback)
    }

    /// Records the copy of these tensors, one after the other.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, buffers: &Buffers, ports: &[Port]) -> Result<()> {
        let mut start = 0;
        for port in ports {
            let (buffer, range) = buffers.range(&port.view)?;
            let size = port_bytes(port)?;
            if size > 0 {
                encoder.copy_buffer_to_buffer(buffer, range.start, &self.0, start, size);
            }
            start += size;
        }
        Ok(())
    }

    /// Waits for `submission` and takes the tensors whose copy it recorded.
    pub(super) fn tensors(
        &self,
        gpu: &Gpu,
        queue: &wgpu::Queue,
        submission: wgpu::SubmissionIndex,
        ports: &[Port],
    ) -> Result<Vec<Tensor>> {
        let total = total_bytes(ports)?;
        self.mapped(gpu, queue, submission, total, |bytes| {
            let mut rest = bytes;
            let mut next = |port: &Port| {
                let (head, tail) = rest.split_at(port_bytes(port)? as usize);
                rest = tail;
                let copied = |_| Cow::Owned(bytemuck::pod_collect_to_vec(head));
                let numbers = bytemuck::try_cast_slice(head).map_or_else(copied, Cow::Borrowed);
                numbers::from_device(&port.ty, port.layout.unpack(&port.ty.shape, &numbers))
            };
            ports.iter().map(&mut next).collect()
        })
    }

    /// Waits for `submission` and takes `count` 64-bit counters.
    pub(super) fn counters(
        &self,
        gpu: &Gpu,
        queue: &wgpu::Queue,
        submission: wgpu::SubmissionIndex,
        count: u64,
    ) -> Result<Vec<u64>> {
        self.mapped(gpu, queue, submission, count * 8, |bytes| Ok(bytemuck::pod_collect_to_vec(bytes)))
    }

    /// Records the copy of the first `bytes` bytes of a buffer.
    pub(super) fn record_raw(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, bytes: u64) {
        encoder.copy_buffer_to_buffer(buffer, 0, &self.0, 0, bytes);
    }

    fn mapped<T>(
        &self,
        gpu: &Gpu,
        queue: &wgpu::Queue,
        submission: wgpu::SubmissionIndex,
        bytes: u64,
        take: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        if bytes == 0 {
            gpu.wait(queue, submission)?;
            return take(&[]);
        }
        let taken = gpu.checked("readback", || {
            let slice = self.0.slice(0..bytes);
            let (sender, receiver) = mpsc::channel();
            // The receiver outlives the wait; where that fails nobody listens any more, and nobody needs to.
            slice.map_async(wgpu::MapMode::Read, move |mapped| drop(sender.send(mapped)));
            gpu.wait(queue, submission)?;
            let refused = |reason: String| Error::Device(format!("the results could not be read back: {reason}"));
            receiver.try_recv().map_err(|e| refused(e.to_string()))?.map_err(|e| refused(e.to_string()))?;
            let view = slice.get_mapped_range().map_err(|e| refused(e.to_string()))?;
            take(&view)
        });
        // Also where mapping failed or timed out, so that the buffer is free for the next run.
        gpu.checked("readback", || {
            self.0.unmap();
            Ok(())
        })
        .and(taken)
    }
}

/// What these tensors take in a readback buffer.
pub(super) fn total_bytes(ports: &[Port]) -> Result<u64> {
    ports.iter().map(port_bytes).sum()
}

fn port_bytes(port: &Port) -> Result<u64> {
    port.ty.elements()?;
    let bytes = port.layout.len(&port.ty.shape) as u64 * 4;
    if bytes > port.view.bytes {
        let name = escape(&port.name);
        return Err(Error::Internal(format!("'{name}' takes {bytes} bytes, its view has {}", port.view.bytes)));
    }
    Ok(bytes)
}
