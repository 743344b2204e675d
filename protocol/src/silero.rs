//! The one shape that files of Silero's voice detector have (16 kHz, its versions 5 and 6, in whisper.cpp's ggml format):
//! supervisor and worker each hold a file to it with their own reader before whisper.cpp sees it.
//!
//! ```text
//!  magic │ kind │ version │ window, context │ layers (in, out, kernel)* │ widths │ 15 tensors, each once:
//!                                            (dimensions, name length, type; shape; name; data)
//! ```

/// What stands behind the magic and its own length.
pub const KIND: &[u8; 10] = b"silero-16k";
/// Window and context in samples; the layers' channels in and out and their kernels; widths of memory and output.
pub const SHAPE: [u32; 19] = [512, 64, 4, 129, 128, 3, 128, 64, 3, 64, 64, 3, 64, 128, 3, 128, 128, 128, 1];
/// ggml's number for floats of 32 bits.
pub const F32: u32 = 0;
/// ggml's number for floats of 16 bits.
pub const F16: u32 = 1;
/// Bytes of a tensor's name at most.
pub const LONGEST_NAME: usize = 64;

/// A tensor by its name, what it is kept as, and its shape, innermost first.
pub type Tensor = (&'static str, u32, [u32; 3]);

/// All there are.
pub const TENSORS: [Tensor; 15] = [
    ("_model.stft.forward_basis_buffer", F16, [256, 1, 258]),
    ("_model.encoder.0.reparam_conv.weight", F16, [3, 129, 128]),
    ("_model.encoder.0.reparam_conv.bias", F32, [128, 1, 1]),
    ("_model.encoder.1.reparam_conv.weight", F16, [3, 128, 64]),
    ("_model.encoder.1.reparam_conv.bias", F32, [64, 1, 1]),
    ("_model.encoder.2.reparam_conv.weight", F16, [3, 64, 64]),
    ("_model.encoder.2.reparam_conv.bias", F32, [64, 1, 1]),
    ("_model.encoder.3.reparam_conv.weight", F16, [3, 64, 128]),
    ("_model.encoder.3.reparam_conv.bias", F32, [128, 1, 1]),
    ("_model.decoder.rnn.weight_ih", F32, [128, 512, 1]),
    ("_model.decoder.rnn.weight_hh", F32, [128, 512, 1]),
    ("_model.decoder.rnn.bias_ih", F32, [512, 1, 1]),
    ("_model.decoder.rnn.bias_hh", F32, [512, 1, 1]),
    ("_model.decoder.decoder.2.weight", F16, [128, 1, 1]),
    ("_model.decoder.decoder.2.bias", F32, [1, 1, 1]),
];
