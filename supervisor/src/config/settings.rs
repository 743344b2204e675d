//! Every setting, once. Who reads, overrides or shows them walks this list.

use super::kinds::{Setting, device, duration, language, layers, model, path, percent, switch, threads};
use super::{Config, Fallback, MemoryConfig, SupervisorConfig};
use crate::models::catalog::Addition;

/// Where a setting's value is kept.
pub(super) enum Slot<'c, T> {
    /// There is always a value.
    Always(&'c mut T),
    /// There may be none, which then means this.
    Maybe(&'c mut Option<T>, &'static str),
}

impl<T> Slot<'_, T> {
    pub(super) fn set(self, value: T) {
        match self {
            Self::Always(slot) => *slot = value,
            Self::Maybe(slot, _) => *slot = Some(value),
        }
    }
}

/// Somebody who walks the list.
pub(super) trait Visitor {
    fn setting<T>(&mut self, setting: &Setting<T>, slot: Slot<'_, T>);
    /// The steps from model to smaller model, a setting each.
    fn fallback(&mut self, fallback: &mut Fallback);
    /// The user's own models, a setting each.
    fn models(&mut self, models: &mut Vec<Addition>);
}

pub(super) const WARNING_THRESHOLD: &str = "memory.warning_threshold";
pub(super) const CRITICAL_THRESHOLD: &str = "memory.critical_threshold";
pub(super) const MEMORY_REPORT: &str = "memory.memory_report";
pub(super) const STT: &str = "supervisor.stt";
pub(super) const LLM: &str = "supervisor.llm";
pub(super) const VAD: &str = "supervisor.vad";
pub(super) const LANGUAGE: &str = "supervisor.language";
pub(super) const THREADS: &str = "supervisor.threads";
pub(super) const DEVICE: &str = "supervisor.device";
pub(super) const GPU_LAYERS: &str = "supervisor.gpu_layers";
pub(super) const FALLBACK: &str = "supervisor.fallback";
pub(super) const MODELS: &str = "supervisor.models";
pub(super) const WAIT_FOR_MEMORY: &str = "supervisor.wait_for_memory";
pub(super) const REQUIRE_SANDBOX: &str = "supervisor.require_sandbox";

/// Walks the list in the order in which settings are shown.
pub(super) fn walk(config: &mut Config, visitor: &mut impl Visitor) {
    use Slot::{Always, Maybe};
    let Config { memory, supervisor } = config;

    // No field can be forgotten here.
    let MemoryConfig {
        aggressive_gc,
        enable_monitoring,
        memory_report,
        warning_threshold,
        critical_threshold,
        auto_fallback,
        explicit_lifecycle,
    } = memory;
    visitor.setting(&switch("memory.aggressive_gc", Some("MEETCAP_MEMORY_AGGRESSIVE_GC")), Always(aggressive_gc));
    visitor.setting(&switch("memory.enable_monitoring", Some("MEETCAP_MEMORY_MONITORING")), Always(enable_monitoring));
    visitor.setting(&switch(MEMORY_REPORT, Some("MEETCAP_MEMORY_REPORT")), Always(memory_report));
    visitor.setting(&percent(WARNING_THRESHOLD, "MEETCAP_MEMORY_WARNING_THRESHOLD"), Always(warning_threshold));
    visitor.setting(&percent(CRITICAL_THRESHOLD, "MEETCAP_MEMORY_CRITICAL_THRESHOLD"), Always(critical_threshold));
    visitor.setting(&switch("memory.auto_fallback", Some("MEETCAP_MEMORY_AUTO_FALLBACK")), Always(auto_fallback));
    let explicit = switch("memory.explicit_lifecycle", Some("MEETCAP_MEMORY_EXPLICIT_LIFECYCLE"));
    visitor.setting(&explicit, Always(explicit_lifecycle));

    let SupervisorConfig {
        stt,
        llm,
        vad,
        language: spoken,
        threads: used,
        device: wanted,
        gpu_layers,
        fallback,
        models,
        models_dir,
        worker_stt,
        worker_llm,
        wait_for_memory,
        require_sandbox,
    } = supervisor;
    visitor.setting(&model(STT), Maybe(stt, "the largest that is here, else --stt has to be given"));
    visitor.setting(&model(LLM), Maybe(llm, "the largest that is here, else --llm or --no-summary has to be given"));
    visitor.setting(&model(VAD), Maybe(vad, "a voice detector beside the speech model, else by energy"));
    visitor.setting(&language(LANGUAGE), Maybe(spoken, "found out by the model"));
    visitor.setting(&threads(THREADS), Maybe(used, "what this process may use"));
    visitor.setting(&device(DEVICE), Maybe(wanted, "the best that the worker was built for"));
    visitor.setting(&layers(GPU_LAYERS), Maybe(gpu_layers, "as many as fit"));
    visitor.setting(&path("supervisor.models_dir", None), Maybe(models_dir, "no folder, as there is no home folder"));
    let program = |name, variable| path(name, Some(variable));
    let beside = "looked for beside this program";
    visitor.setting(&program("supervisor.worker_stt", "MEETCAP_WORKER_STT"), Maybe(worker_stt, beside));
    visitor.setting(&program("supervisor.worker_llm", "MEETCAP_WORKER_LLM"), Maybe(worker_llm, beside));
    visitor.setting(&duration(WAIT_FOR_MEMORY), Always(wait_for_memory));
    visitor.setting(&switch(REQUIRE_SANDBOX, None), Always(require_sandbox));
    // Last: where they are shown they have sections of their own.
    visitor.fallback(fallback);
    visitor.models(models);
}
