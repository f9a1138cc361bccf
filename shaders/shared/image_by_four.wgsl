// The image lies four channels side by side: [n, c / 4, h, w, 4].
@group(0) @binding(2) var<storage, read> input: array<InMemory>;
