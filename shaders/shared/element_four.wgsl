alias Element = InMemory;
