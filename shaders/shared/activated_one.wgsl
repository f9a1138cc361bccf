fn activated(x: Numbers) -> Numbers {
    return activate(x, p.activation_a, p.activation_b);
}
