// A row or a column of a tile: 4 channels of 6 pixels or points.
struct Six { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32>, at_4: vec4<f32>, at_5: vec4<f32> }

const ROOT_2 = 1.41421356237309504880;
