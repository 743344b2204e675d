//! Silero's voice detector: fifteen tensors of known size. Their data is put in behind each head.

use meetcap_protocol::silero::{F16, KIND, SHAPE, TENSORS, Tensor};
use meetcap_supervisor::models::vad::Detector;
use meetcap_tests::rng::Rng;

use crate::{Target, Verdict, meter, scratch};

pub const TARGET: Target = Target {
    name: "silero",
    read,
    seeds,
    words: &[
        "silero-16k",
        "_model.stft.forward_basis_buffer",
        "_model.encoder.0.reparam_conv.weight",
        "_model.decoder.decoder.2.bias",
    ],
    longest: 4 << 10,
};

/// Magic, kind, version and shape.
const HEAD: usize = 4 + 4 + KIND.len() + 12 + 4 * SHAPE.len();

/// Tensors are filled.
const DATA: u8 = 1;

fn read(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    let has_data = choice & DATA != 0;
    let (head, mut rest) = bytes.split_at(bytes.len().min(HEAD));
    let (mut pieces, mut at) = (vec![(0, head)], head.len() as u64);
    for tensor in &TENSORS {
        let (piece, behind) = rest.split_at(rest.len().min(head_of(tensor).len()));
        if piece.is_empty() {
            break;
        }
        pieces.push((at, piece));
        at += piece.len() as u64 + if has_data { data_of(tensor) } else { 0 };
        rest = behind;
    }
    pieces.push((at, rest));
    let detector = Detector::Silero(scratch::sparse("vad.bin", &pieces, at + rest.len() as u64));
    let checked = meter::within(super::MOST, "checking a voice detector", || detector.check());
    Verdict::of(checked.map_err(|error| assert!(error.to_string().len() < 1000, "{error}")).is_ok())
}

/// Dimensions, length of the name, type; shape; name.
fn head_of((name, kind, shape): &Tensor) -> Vec<u8> {
    let dimensions = shape.iter().rposition(|size| *size != 1).map_or(0, |last| last + 1);
    let number = |number: usize| u32::try_from(number).expect("small");
    let numbers = [number(dimensions), number(name.len()), *kind];
    let shape = &shape[..dimensions];
    let numbers = numbers.iter().chain(shape).flat_map(|number| number.to_le_bytes());
    numbers.chain(name.bytes()).collect()
}

fn data_of((_, kind, shape): &Tensor) -> u64 {
    let numbers: u64 = shape.iter().map(|size| u64::from(*size)).product();
    numbers * if *kind == F16 { 2 } else { 4 }
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let mut head = 0x6767_6d6c_u32.to_le_bytes().to_vec();
    head.extend(10_u32.to_le_bytes());
    head.extend(KIND);
    head.extend([5, 1, 2].iter().chain(&SHAPE).flat_map(|number: &u32| number.to_le_bytes()));
    let tensors: Vec<u8> = TENSORS.iter().flat_map(head_of).collect();
    [DATA, 0].map(|choice| [&[choice][..], &head, &tensors].concat()).into()
}
