// The last of several ranges of input channels: the sums that wait in the output are finished.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let to = place(index);
    let sum = output[to.at] + convolve(to.n, to.c, to.y, to.x);
    output[to.at] = finish(sum, to.n, to.c, to.y, to.x);
}
