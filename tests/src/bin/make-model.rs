//! Writes a model file with random weights: `make-model NAME OUT [NUMBER=VALUE]… [--seed N]`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::Shape;

const USAGE: &str = "make-model NAME OUT [NUMBER=VALUE]... [--seed N]
names: whisper-{tiny,base,small,medium,large-v3,large-v3-turbo}-TYPE, llama-{150m,1b}-TYPE,
       random-whisper, random-llama
types: f16 q8_0 q5_0 q4_0 q4_k q6_k f32
numbers: whisper: vocabulary audio_context text_context state heads audio_layers text_layers mel_bands
         llama: layers embedding feed_forward heads kv_heads head_width vocabulary context tied";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("make-model: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let mut seed = 1;
    let mut plain = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seed" {
            seed = rest.next().and_then(|n| n.parse().ok()).ok_or("--seed takes a number")?;
        } else {
            plain.push(argument.as_str());
        }
    }
    let [name, out, changes @ ..] = plain.as_slice() else {
        return Err("a name and a file to write are needed".to_owned());
    };
    let mut rng = Rng::new(seed);
    let mut shape = Shape::named(name, &mut rng)?;
    for change in changes {
        let (field, value) = change.split_once('=').ok_or_else(|| format!("{change} is no NUMBER=VALUE"))?;
        shape.set(field, value.parse().map_err(|_| format!("{value} is no number"))?)?;
    }
    let start = Instant::now();
    shape.write(Path::new(out), &mut rng).map_err(|error| format!("{out}: {error}"))?;
    let mib = shape.weight_bytes() as f64 / 1_048_576.0;
    eprintln!("{out}: {mib:.1} MiB of weights in {:.2} s, seed {seed}: {shape:?}", start.elapsed().as_secs_f64());
    Ok(())
}
