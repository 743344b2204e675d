//! What each setting does, in a sentence for whoever sets it.

/// What models of a user's own are, in a sentence.
pub const MODELS_ABOUT: &str = "Models of your own that `models pull` knows by name: an address, or a table with url, kind, \
                                bytes, sha256, licence, languages, smaller.";

/// The sentence for a setting, `memory.warning_threshold`; nothing for a name that is no setting's.
pub(super) fn about(name: &str) -> &'static str {
    match name {
        "memory.aggressive_gc" => {
            "After a worker has ended, give the supervisor's own spare memory back; where memory is scarce also drop the \
             finished model from the page cache."
        }
        "memory.enable_monitoring" => {
            "Tell of memory in events and checkpoints. What guards memory works without it as well."
        }
        "memory.memory_report" => "Print what was foretold, taken and given back at the end of each run.",
        "memory.warning_threshold" => {
            "Percent of the tightest limit above which the use of memory is warned of; 1 to critical_threshold."
        }
        "memory.critical_threshold" => "Percent of the tightest limit above which no model is let in; 1 to 100.",
        "memory.auto_fallback" => "Take a smaller model where the one asked for does not fit; the transcript says so.",
        "memory.explicit_lifecycle" => {
            "Start a worker only when its phase begins; false starts the next one early, without a model."
        }
        "supervisor.stt" => {
            "Speech model: a name (`meetcap-supervisor models list`), `demo`, or a path, as after --stt."
        }
        "supervisor.llm" => "Summary model: a name, `demo`, or a path, as after --llm.",
        "supervisor.vad" => "What tells speech from silence: a voice detector's file, or `energy`, as after --vad.",
        "supervisor.language" => "Language spoken, as whisper's code (en, de, ja, …).",
        "supervisor.threads" => "Threads an engine computes with; 1 to 1024.",
        "supervisor.device" => "What the engines compute on: cpu, cuda, metal or vulkan.",
        "supervisor.gpu_layers" => "Layers of the summary model that are put on the graphics processor.",
        "supervisor.models_dir" => "Folder that models are kept in and found by name.",
        "supervisor.worker_stt" => "The program meetcap-worker-stt.",
        "supervisor.worker_llm" => "The program meetcap-worker-llm.",
        "supervisor.wait_for_memory" => {
            "How long to wait for memory that a model needs, such as \"90s\" or \"10m\", before it is refused."
        }
        "supervisor.require_sandbox" => "Refuse to run where the workers cannot be locked in fully.",
        "supervisor.models" => MODELS_ABOUT,
        "supervisor.fallback" => {
            "Which smaller model stands in for one that does not fit: a name or a path, or false for none."
        }
        _ => "",
    }
}
