// A range of input channels, not the last one: plain sums wait in the output.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let to = place(index);
    let sum = convolve(to.n, to.c, to.y, to.x);
    // What the output held before the first range is another tensor's.
    if (p.ic_begin == 0u) {
        output[to.at] = sum;
    } else {
        output[to.at] += sum;
    }
}
