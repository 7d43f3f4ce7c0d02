"""One page of several models: figures, pictures, charts, and decoders that run in it."""
