// What meetcap-supervisor writes and takes, as TypeScript sees it. Made from the schemas beside it; do not edit.
//
// Events, states, classes and the like may be added in later versions without another version number: have a `default`
// branch, and pass over what it is given.

/** One decision on a load. */
export interface AdmissionRecord {
  /** Null where nothing could be read. */
  arithmetic: Arithmetic | null;
  decision: Decision;
  /** What was asked for. */
  model: string;
  /** What was decided on. */
  model_used: string;
  /** Memory that it will need. */
  need: Need;
  phase: Phase;
  /** Milliseconds on the clock of the events. */
  t_ms: number | null;
}

/** What a caller can sensibly do. Later versions may add to these. */
export type Advice = (
  /** The same again, later. */
  | "retry_same"
  /** Only with a smaller model or context. */
  | "retry_smaller"
  /** The same again would fail the same way. */
  | "give_up"
);

/** A sum in bytes, as it is shown to people. */
export interface Arithmetic {
  /** The share from which on a load is refused, in percent. */
  critical: number;
  limit: Bytes;
  needed: Bytes;
  /** The bound that decides. */
  of: LimitOf;
  /** Share of the limit that would be in use, in percent. */
  percent_after: number;
  /** To other runs on this machine. */
  promised: Bytes;
  /** Without the page cache that can be given back. */
  used: Bytes;
}

/** Where the figures come from. */
export type Basis = (
  /** The file's own header. */
  | "header"
  /** The specification's table of names, because there is no file that tells. */
  | "name"
);

/** A number of bytes. */
export type Bytes = number;

/** What `job/cancel` takes. */
export interface Cancel {
  job_id: JobId;
}

/** What this server can do. */
export interface Capabilities {
  /** Whether the bundled models can be asked for by the name `demo`. */
  demo: boolean;
  /** Version of the event objects. */
  events: number;
  /** What a transcript can be written as. */
  formats: Format[];
  /** Names of all methods there are. */
  methods: string[];
  /** Jobs that may be queued. */
  queue_limit: number;
}

/** A named moment. */
export interface Checkpoint {
  /** `start`, `stt_loaded`, `stt_unloaded`, `llm_loaded`, `llm_unloaded` or `end`. */
  name: string;
  /** Resident set in percent of the machine's memory. */
  percent: number;
  /** Proportional set of the tree: resident pages, shared ones divided by their users; null where it is not told. */
  pss_bytes: Bytes | null;
  /** Resident set in MiB. */
  rss_mb: number;
  /** Address space in MiB. */
  vms_mb: number;
}

/** What was decided on a load. */
export type Decision = (
  | "admit"
  /** Something smaller is loaded instead. */
  | "fallback"
  /** There is not enough memory yet. */
  | "wait"
  /** The phase is not started. */
  | "refuse"
  /** It does not fit, and is loaded because that was asked for. */
  | "forced"
);

/** What is done at the moment. */
export type Doing = (
  | "fetching"
  /** For what. */
  | {
    waiting: string;
  }
  /** The whole is hashed. */
  | "checking"
);

/** Whose move it is. Later versions may add to these. */
export type ErrorClass = (
  /** What was given is at fault. */
  | "input"
  /** The machine or its set-up is at fault. */
  | "environment"
  /** A bug, here or in an engine. */
  | "internal"
);

/** What a program needs to know of an error of the server's own. */
export interface ErrorData {
  advice: Advice;
  class: ErrorClass;
  /** The code that the command line would have ended with. */
  exit_code: number;
}

/** What a model would take. */
export interface Estimate {
  basis: Basis;
  /** One for a speech model; for a summary model one for each way to lay it out. */
  layouts: Layout[];
  model: string;
  phase: Phase;
}

/** What `models/estimate` takes. */
export interface EstimateModel {
  /** Tokens of context of a summary model. */
  ctx?: number | null;
  /** A path, a name or `demo`. */
  model: string;
  /** Which of the bundled models is meant by `demo`. */
  phase?: Phase | null;
}

/** One thing that happened. Later versions may add events: a client passes over those that it does not know. */
export type Event = (
  /** The first event of a run. */
  | {
    event: "run_started";
    /** The recording or transcript. */
    audio_path: string;
    /** The summary model; null where none is made. */
    llm: string | null;
    output_dir: string;
    /** The speech model; null where only a summary is made. */
    stt: string | null;
  }
  /** A worker has come into another state. */
  | {
    event: "state";
    phase: Phase;
    /** Process id of the worker. */
    pid: number;
    state: LifecycleState;
  }
  /** How much of a model is loaded. */
  | {
    event: "load_progress";
    /** Between 0 and 1. */
    fraction: number;
    phase: Phase;
  }
  /** How much of a phase is done. */
  | {
    event: "progress";
    /** In `unit`. */
    done: number;
    phase: Phase;
    /** In `unit`; null where it is not known beforehand. */
    total: number | null;
    unit: ProgressUnit;
  }
  /** A stretch of speech in writing. */
  | {
    event: "segment";
    /** Between 0 and 1; null where the engine does not tell. */
    confidence: number | null;
    /** Seconds from the start of the recording. */
    end: number;
    /** From 0. */
    id: number;
    /** Seconds from the start of the recording. */
    start: number;
    text: Spoken;
  }
  /** The next piece of what the summary model writes. */
  | {
    event: "summary_delta";
    text: Spoken;
  }
  /** The decision on a load. */
  | {
    event: "admission";
    /** What may be taken of the bound that decides. */
    available_bytes: Bytes;
    decision: Decision;
    /** The bound that decides. */
    limit_bytes: Bytes;
    /** What was asked for. */
    model: string;
    /** What the decision is about. */
    model_used: string;
    /** Memory that it will need. */
    needed_bytes: Bytes;
    phase: Phase;
  }
  /** Memory of a worker now, several times a second. */
  | {
    event: "memory";
    /** Heap, stacks and other private memory in RAM: what has to come back. */
    anonymous_bytes: Bytes;
    /** Pages of mapped files in RAM, which the system takes back when it likes. */
    file_backed_bytes: Bytes;
    /** Held on graphics processors, where a driver tells. */
    gpu_bytes: Bytes;
    phase: Phase;
    /** Process id of the worker. */
    pid: number;
    /** Share of the last ten seconds in which some task waited for memory; null where the kernel does not tell. */
    pressure_percent: number | null;
    /** Resident set: both together. */
    rss_bytes: Bytes;
    /** Memory that can still be had. Of the tightest bound. */
    system_available_bytes: Bytes;
  }
  /** Memory of the whole process tree at a moment that the specification names. */
  | {
    event: "checkpoint";
    /** `start`, `stt_loaded`, `stt_unloaded`, `llm_loaded`, `llm_unloaded` or `end`. */
    name: string;
    /** Resident set in percent of the machine's memory. */
    percent: number;
    /** Resident set in MiB. */
    rss_mb: number;
    /** Address space in MiB. */
    vms_mb: number;
  }
  /** Something smaller takes a model's place, or the same model gets by with less. */
  | {
    event: "fallback";
    from: string;
    phase: Phase;
    /** For people. */
    reason: string;
    to: string;
  }
  /** How a worker's memory came back. */
  | {
    event: "release";
    /** The supervisor's own cost afterwards. */
    after_bytes: Bytes;
    /** The supervisor's own cost before the model was loaded, without the worker. */
    baseline_bytes: Bytes;
    /** GPU memory that is not back. */
    gpu_missing_bytes: Bytes;
    /** Highest cost of the worker. */
    peak_bytes: Bytes;
    phase: Phase;
    /** Milliseconds from the reap to the look that found everything back, or to the last look. */
    release_ms: number;
    /** What the supervisor has kept. */
    residue_bytes: Bytes;
    /** Not everything came back in time. */
    suspect: boolean;
    /** What the machine holds more than before and no other process is seen to hold; unknown where processes cannot be seen. */
    unattributed_bytes: Bytes | null;
  }
  /** Something that somebody should know, and that ends nothing. */
  | {
    event: "warning";
    /** For programs, such as `events_missed`; later versions may add to them. */
    code: string;
    /** For people. */
    message: string;
  }
  /** A worker process has ended. */
  | {
    event: "worker_exit";
    /** `clean`, or what it died of. */
    class: string;
    /** Its exit code; null where a signal ended it. */
    code: number | null;
    /** Highest cost: anonymous, swapped and GPU memory together. */
    peak_bytes: Bytes;
    phase: Phase;
    /** Process id that it had. */
    pid: number;
    /** The signal that ended it; null where none did. */
    signal: number | null;
  }
  /** The last event of a run. */
  | {
    event: "run_finished";
    /** The code that the command line ends with. */
    exit_code: number;
    outcome: Outcome;
    /** Files that were written. */
    outputs: string[];
  }
);

/** How a worker ended. */
export interface ExitRecord {
  /** `clean`, or what it died of. */
  class: string;
  /** Its exit code; null where a signal ended it. */
  code: number | null;
  /** The same for people. */
  detail: string;
  /** Cost as last read. */
  last_memory_bytes: Bytes;
  /** The worker's last output, when it did not end cleanly. */
  output_tail: string | null;
  /** Highest cost. */
  peak_bytes: Bytes;
  pid: number;
  /** The signal that ended it; null where none did. */
  signal: number | null;
  /** What it was working on. */
  spot: string | null;
  /** Lifecycle state when it ended. */
  state: string;
}

/** The answer to a call that was not carried out. `id` is null where none could be read. */
export interface Failure {
  jsonrpc: "2.0";
  error: RpcError;
  id: RequestId;
}

/** One step down. */
export interface FallbackRecord {
  from: string;
  phase: Phase;
  reason: string;
  to: string;
}

/** A form a transcript can be written in. */
export type Format = "txt" | "json" | "srt" | "vtt";

/** Memory of one graphics processor, in bytes. */
export interface GpuReading {
  free: Bytes;
  name: string;
  total: Bytes;
}

/** What `initialize` gives. */
export interface Initialized {
  capabilities: Capabilities;
  /** Version of methods and events; a client that knows another should not go on. */
  protocol_version: number;
  /** Of the program. */
  server_version: string;
}

/** A job's number, counted from 1 in each supervisor. */
export type JobId = number;

/** What a job does. */
export type JobKind = (
  /** A recording is transcribed and, if asked for, summarised. */
  | "run"
  /** A transcript is summarised. */
  | "summarize"
);

/** How much of a phase is done. */
export interface JobProgress {
  /** In `unit`. */
  done: number;
  /** In `unit`; null where it is not known beforehand. */
  total: number | null;
  unit: ProgressUnit;
}

/** Where it stands. Later versions may add states. */
export type JobState = (
  /** It waits for its turn. */
  | {
    state: "queued";
    /** Jobs that come before it. */
    ahead: number;
  }
  /** It is at work. */
  | {
    state: "running";
    /** Of that phase's worker. */
    lifecycle: LifecycleState | null;
    /** Anonymous memory of that worker, as last read. */
    memory_bytes: Bytes | null;
    /** Null until a worker has been started. */
    phase: Phase | null;
    /** Of that phase; null until it is told. */
    progress: JobProgress | null;
  }
  /** It is over. */
  | {
    state: "ended";
    /** What went wrong; null where nothing did. */
    error: Trouble | null;
    /** The code that the command line would have ended with. */
    exit_code: number;
    outcome: Outcome;
    /** Files that were written. */
    outputs: string[];
  }
);

/** One job. */
export type JobStatus = {
  job_id: JobId;
  kind: JobKind;
  /** The recording or transcript. */
  path: string;
  /** Higher goes first. */
  priority: number;
} & JobState;

/** What `job/list` gives. */
export interface Jobs {
  /** Those that ended last, the one at work, those that wait. */
  jobs: JobStatus[];
}

/** The type of the KV cache's elements. */
export type KvType = (
  | "f16"
  /** About half of `F16`, for answers that hardly differ. */
  | "q8_0"
);

/** A way to load a model. */
export interface Layout {
  /** Whether the gate would let it in now. */
  fits_now: boolean;
  need: Need;
  /** Why not, as a sum. */
  refusal: string | null;
  /** Null for speech models, whose windows are all of one size. */
  setup: LlmSetup | null;
}

/** A whole check. */
export interface LeakAccount {
  /** Version of the account's shape. */
  v: 1;
  /** Cycles that were run. */
  cycles: number;
  /** Cycles that were asked for. */
  cycles_asked: number;
  /** The summary model; null where none was used. */
  llm: string | null;
  /** Seconds that the longest cycle took. */
  longest_cycle_seconds: number;
  /** Highest memory of workers; none where no worker ended within the check. */
  peaks: LeakPeak[];
  phase: LeakScope;
  /** Whether one worker served all inputs. */
  reuse: boolean;
  /** Seconds that all of it took. */
  seconds: number;
  /** Of the inputs and their order. */
  seed: number;
  series: LeakSeries[];
  /** The speech model; null where none was used. */
  stt: string | null;
  threads: number;
  /** The gravest of all series and peaks. */
  verdict: LeakVerdict;
  /** Of the supervisor. */
  version: string;
  /** The first of them, which are not judged. */
  warm_up: number;
}

/** What a series is about, and with that whose it is. */
export type LeakMeasure = (
  /** The supervisor's own anonymous and swapped memory, after its heap was trimmed. */
  | "supervisor_memory"
  /** Open descriptors of the supervisor. */
  | "descriptors"
  /** Threads of the supervisor. */
  | "threads"
  /** Processes below the supervisor, ended ones that were not reaped included. */
  | "children"
  /** Anonymous and swapped memory of the only speech worker. */
  | "stt_worker_memory"
  /** The same of the only summary worker. */
  | "llm_worker_memory"
  /** The machine's anonymous memory that no process in sight holds, against the baseline. */
  | "unaccounted_memory"
  /** What graphics processors hold, against the baseline. */
  | "gpu_memory"
  /** What the machine has less available, against the baseline. */
  | "system_memory"
);

/** How much a phase's workers held at most, over the same inputs. */
export interface LeakPeak {
  /** For people. */
  explanation: string;
  /** What it was judged against; null without a baseline. */
  limit: LeakPeakLimit | null;
  /** In KiB. */
  max_kib: number | null;
  /** In KiB: of the cycles behind the warm-up. Null where there was none. */
  median_kib: number | null;
  phase: Phase;
  /** One for each cycle in KiB, warm-up included; a single one for a worker that served all. */
  values: number[];
  /** Null without a baseline: there is nothing to judge it by. */
  verdict: LeakVerdict | null;
}

/** What a peak was judged against, in KiB, tolerance included. */
export interface LeakPeakLimit {
  max_kib: number;
  median_kib: number;
}

/** What goes through each cycle. */
export type LeakScope = (
  /** Speech to text alone. */
  | "stt"
  /** Summaries alone. */
  | "llm"
  /** Both, one after the other. */
  | "pipeline"
);

/** A figure over all cycles, and what it says. */
export interface LeakSeries {
  /** Growth that is allowed, in the unit per cycle. */
  budget: number;
  /** For people. */
  explanation: string;
  measure: LeakMeasure;
  /** Chance that figures without a trend would show one so clear (Mann and Kendall, two-sided). */
  p: number;
  /** The same, corrected for the number of series (Holm). */
  p_corrected: number;
  /** In the unit per cycle (Theil and Sen). */
  slope: number;
  /** Its upper 95 % confidence bound. */
  slope_high: number;
  /** Its lower 95 % confidence bound. */
  slope_low: number;
  /** The lower bound of the later half alone: of memory it has to be above the budget too, or growth has ended. */
  slope_low_later: number;
  unit: LeakUnit;
  /** One for each cycle, warm-up included. */
  values: number[];
  verdict: LeakVerdict;
}

/** What is counted. */
export type LeakUnit = "kib" | "count";

/** What was found. In the order of what matters more. */
export type LeakVerdict = (
  | "no_leak" | "leak"
  /** It grows, and it need not be ours. */
  | "noticed"
  /** Too few cycles for a verdict. */
  | "insufficient"
);

/** One run. What came into the account later has a default, so that older ones can be read. */
export interface Ledger {
  /** Version of the ledger's shape. */
  v: 1;
  /** Every decision on a load, in order. */
  admissions: AdmissionRecord[];
  /** The recording or transcript. */
  audio_path: string;
  /** Memory of the whole process tree at named moments. */
  checkpoints: MemoryMonitor;
  /** Why it did not reach its end. */
  error: string | null;
  /** The code that the command line ends with. */
  exit_code: number | null;
  /** Every step down. */
  fallbacks: FallbackRecord[];
  /** What bounded memory when the run began. */
  limits: Limit[];
  outcome: Outcome | null;
  /** Files that were written. */
  outputs: string[];
  /** In order; a phase that went on with another model has a record for each. */
  phases: PhaseRecord[];
  /** Whether the next run on the same recording goes on where this one ended. */
  resumable: boolean;
  /** What holding both phases' models at once would have taken on top of the highest peak. */
  saved_bytes: Bytes;
  /** Local time with its offset. */
  started: string;
  /** From which share of a limit on memory was held for scarce. */
  thresholds: Thresholds | null;
  /** Memory over time, of the workers that this recording had and shared; left out where memory is not watched. */
  timeline?: Timeline | null;
  /** Of the supervisor. */
  version: string;
  /** For people. */
  warnings: string[];
}

/** Where a model is between nothing and in use. */
export type LifecycleState = "unloaded" | "loading" | "ready" | "processing" | "unloading";

/** One bound on memory and how far it is used, in bytes. */
export interface Limit {
  limit: Bytes;
  of: LimitOf;
  /** Without the page cache that can be given back. */
  used: Bytes;
}

/** Whose limit. */
export type LimitOf = (
  | "machine"
  /** A control group, by its path as the kernel names it. */
  | {
    cgroup: string;
  }
  /** The job object that this process is in (Windows). */
  | "job_object"
  /** A graphics processor, by its name. */
  | {
    gpu: string;
  }
);

/** A model that was found. */
export interface Listed {
  /** Size of its file. */
  bytes: Bytes;
  name: string;
  path: string;
  phase: Phase;
}

/** How a model is laid out in memory. */
export interface LlmSetup {
  /** Layers to keep on the GPU; null keeps all there if the worker is built for one. */
  gpu_layers: number | null;
  /** How keys and values of the context are kept. */
  kv: KvType;
  /** Use the weights where the file lies in the page cache instead of a copy. Only for weights that the engine does not rearrange; it would keep both. */
  map_weights: boolean;
  /** Tokens of context, prompt and answer together. */
  n_ctx: number;
}

/** Something that happened at one moment. */
export type Mark = {
  /** Milliseconds on the clock of the events. */
  t_ms: number;
} & Moment;

/** What `memory/read` gives. All in bytes. */
export interface Memory {
  /** Every run of this user on this machine, whoever started it. */
  runs: RunMemory[];
  /** This process. */
  supervisor: MemoryReading;
  system: SystemReading;
}

/** Collects checkpoints in the order in which they come. */
export type MemoryMonitor = Checkpoint[];

/** Memory of a process tree, in bytes. */
export interface MemoryReading {
  /** Heap, stacks and other private memory in RAM. */
  anonymous: Bytes;
  /** Pages of mapped files and shared memory in RAM. */
  file_backed: Bytes;
  /** Held on graphics processors, where a driver tells. */
  gpu: Bytes;
  /** Proportional set: resident pages, shared ones divided by their users. Costs more to read than the rest, so it is known only where it was asked for. */
  pss: Bytes | null;
  /** Resident set: anonymous and file-backed together. */
  rss: Bytes;
  /** The kernel's own high-water mark of the resident set, where it keeps one. Of several processes the sum, though they need not have been at their marks together. */
  rss_peak: Bytes;
  /** Anonymous memory that was swapped out. */
  swapped: Bytes;
  /** Address space; says nothing about use. */
  vms: Bytes;
}

/** One line, in either direction. Requests may also come as a batch, in an array; their answers then come in one. */
export type Message = Request | Success | Failure | Notification | ModelsProgress;

/** No message, but a table: what each method takes and gives. */
export interface Methods {
  initialize: {
    /** Nothing is needed; what is there is passed over. */
    params: Record<string, unknown>;
    result: Initialized;
  };
  "job/cancel": {
    params: Cancel;
    result: JobStatus;
  };
  "job/list": {
    /** Nothing is needed; what is there is passed over. */
    params: Record<string, unknown>;
    result: Jobs;
  };
  "job/status": {
    params: Status;
    result: JobStatus;
  };
  "job/submit": {
    params: Submit;
    result: Submitted;
  };
  "job/summarize": {
    params: Summarize;
    result: Submitted;
  };
  "memory/read": {
    /** Nothing is needed; what is there is passed over. */
    params: Record<string, unknown>;
    result: Memory;
  };
  "models/estimate": {
    params: EstimateModel;
    result: Estimate;
  };
  "models/list": {
    /** Nothing is needed; what is there is passed over. */
    params: Record<string, unknown>;
    result: Models;
  };
  "models/pull": {
    params: Pull;
    result: PulledModel;
  };
  shutdown: {
    params: ShutDown;
    result: null;
  };
}

/** What one model wrote. */
export interface ModelStretch {
  from: number;
  model_name: string;
  to: number;
}

/** What `models/list` gives. */
export interface Models {
  models: Listed[];
}

/** How far a fetch of a model is. */
export interface ModelsProgress {
  jsonrpc: "2.0";
  method: "models/progress";
  params: PullProgress;
}

/** What happened. */
export type Moment = (
  /** A worker's process was started. */
  | {
    mark: "spawn";
    phase: Phase;
    pid: number;
  }
  /** Its model is in memory. */
  | {
    mark: "loaded";
    phase: Phase;
    pid: number;
  }
  /** It was reaped. */
  | {
    mark: "exit";
    class: string;
    phase: Phase;
    pid: number;
  }
  /** The whole tree was measured. */
  | {
    mark: "checkpoint";
    name: string;
  }
);

/** What a set-up takes, in bytes. */
export interface Need {
  /** Anonymous memory: what has to come back when the worker ends. */
  cost: Bytes;
  /** Memory of the graphics processor. */
  gpu: Bytes;
  /** Pages of the model's file that have to stay in memory while it is used. */
  mapped: Bytes;
  /** All three together, by what it is for. */
  parts: Parts;
}

/** An event of a job as it is told. */
export interface Notification {
  jsonrpc: "2.0";
  method: "event";
  params: Told;
}

/** What becomes of a job whose client goes away. */
export type OnDisconnect = (
  /** It goes on. */
  | "continue"
  /** It is stopped. What is done is kept for the next run. */
  | "cancel"
);

/** How a run ended. */
export type Outcome = (
  | "done" | "failed"
  /** Cancelled or stopped; what was done is kept for the next run, where it can be. */
  | "interrupted"
);

/** What it is for, in bytes. */
export interface Parts {
  /** Room for what is worked out. */
  compute: Bytes;
  /** Keys and values, and what recurrent layers remember. */
  context: Bytes;
  /** Vocabulary, audio, tables, the program. */
  overhead: Bytes;
  weights: Bytes;
}

/** A phase's name. */
export type Phase = (
  /** Speech to text. */
  | "stt"
  /** The summary. */
  | "llm"
);

/** Memory around a phase. Cost is anonymous, swapped and GPU memory: what has to come back. */
export interface PhaseMemory {
  /** The supervisor's own cost after the worker was reaped. */
  after_bytes: Bytes;
  /** The supervisor's own cost before the spawn. */
  baseline_bytes: Bytes;
  /** Highest cost of the worker. */
  peak_bytes: Bytes;
  /** Highest resident set of the worker, mapped files included. */
  peak_rss_bytes: Bytes;
  /** How the worker's memory came back; null when it never held a model. */
  release: Release | null;
  /** What the supervisor has kept. */
  residue_bytes: Bytes;
}

/** One phase: which model was asked for and which ran, how long, how much memory, how the worker ended. */
export interface PhaseRecord {
  /** Workers that died on the way, the last one of a failed phase included. */
  deaths: ExitRecord[];
  /** Where it computed: `cpu`, `cuda`, `metal` or `vulkan`. */
  device: string | null;
  /** Such as `whisper.cpp`; null where no worker loaded a model. */
  engine: string | null;
  /** How the last worker of the phase ended. */
  exit: ExitRecord | null;
  /** Seconds: from spawn to loaded. */
  load_seconds: number;
  memory: PhaseMemory;
  model_name: string;
  model_path: string;
  model_requested: string;
  phase: Phase;
  /** Process id of the last worker. */
  pid: number | null;
  /** What the gate was told that it would need. */
  predicted: Need | null;
  /** Seconds at work. */
  process_seconds: number;
  /** `full`, `partial: …`, `none: …` or `unknown`: how far the worker was locked in. */
  sandbox: string;
  /** How the summary model was laid out. */
  setup: LlmSetup | null;
  /** How many other recordings the same workers served; load, unload, memory and exit are what all of them took together. Left out where there was none. */
  shared_with?: number;
  /** Seconds from the order to unload to the reaped process. */
  unload_seconds: number;
  /** What told where somebody speaks: `silero` or `energy`. Left out for summaries. */
  vad?: string | null;
}

/** Share of the last ten seconds in which tasks waited for memory, in percent (Linux: pressure stall information). */
export interface Pressure {
  /** All tasks waited. */
  full: number;
  /** At least one task waited. */
  some: number;
}

/** How short of memory the system finds itself. */
export type PressureLevel = (
  | "normal"
  /** It has begun to compress or swap. */
  | "warning"
  /** It has begun to end programs, or is about to. */
  | "critical"
);

/** The unit of a progress report. */
export type ProgressUnit = (
  /** Seconds of audio. */
  | "seconds"
  /** Tokens of the model. */
  | "tokens"
);

/** What `models/pull` takes. */
export interface Pull {
  /** A name of the catalogue, however it is written. */
  name: string;
}

/** Of which model, and how far. */
export interface PullProgress {
  bytes_done: number;
  /** Bytes in a second, of late; nothing while that cannot be said. */
  bytes_per_second: number | null;
  bytes_total: number;
  doing: Doing;
  name: string;
  seconds_left: number | null;
}

/** What `models/pull` gives, when the model is here. */
export interface PulledModel {
  bytes: Bytes;
  /** As the catalogue has it. */
  name: string;
  path: string;
  /** 64 hexadecimal digits; null for a file that was here before, and was never hashed. */
  sha256: string | null;
  /** Nothing had to be fetched. */
  was_here: boolean;
}

/** How the memory of one worker came back. */
export interface Release {
  /** The supervisor's own cost afterwards. */
  after_bytes: Bytes;
  /** The supervisor's own cost before the model was loaded, without the worker. */
  baseline_bytes: Bytes;
  /** GPU memory that is not back. */
  gpu_missing_bytes: Bytes;
  /** Highest cost of the worker. */
  peak_bytes: Bytes;
  /** Milliseconds from the reap to the look that found everything back, or to the last look. */
  release_ms: number;
  /** What the supervisor has kept. */
  residue_bytes: Bytes;
  /** Not everything came back in time. */
  suspect: boolean;
  /** What the machine holds more than before and no other process is seen to hold; unknown where processes cannot be seen. */
  unattributed_bytes: Bytes | null;
}

/** A call. One without `id` is not answered. */
export type Request = (
  | {
    jsonrpc: "2.0";
    method: "initialize";
    id?: RequestId;
    /** Nothing is needed; what is there is passed over. */
    params?: Record<string, unknown>;
  }
  | {
    jsonrpc: "2.0";
    method: "job/submit";
    id?: RequestId;
    params: Submit;
  }
  | {
    jsonrpc: "2.0";
    method: "job/summarize";
    id?: RequestId;
    params: Summarize;
  }
  | {
    jsonrpc: "2.0";
    method: "job/cancel";
    id?: RequestId;
    params: Cancel;
  }
  | {
    jsonrpc: "2.0";
    method: "job/status";
    id?: RequestId;
    params: Status;
  }
  | {
    jsonrpc: "2.0";
    method: "job/list";
    id?: RequestId;
    /** Nothing is needed; what is there is passed over. */
    params?: Record<string, unknown>;
  }
  | {
    jsonrpc: "2.0";
    method: "memory/read";
    id?: RequestId;
    /** Nothing is needed; what is there is passed over. */
    params?: Record<string, unknown>;
  }
  | {
    jsonrpc: "2.0";
    method: "models/list";
    id?: RequestId;
    /** Nothing is needed; what is there is passed over. */
    params?: Record<string, unknown>;
  }
  | {
    jsonrpc: "2.0";
    method: "models/estimate";
    id?: RequestId;
    params: EstimateModel;
  }
  | {
    jsonrpc: "2.0";
    method: "models/pull";
    id?: RequestId;
    params: Pull;
  }
  | {
    jsonrpc: "2.0";
    method: "shutdown";
    id?: RequestId;
    params?: ShutDown;
  }
);

export type RequestId = string | number | null;

/** Whether to continue where an earlier run ended. */
export type Resume = (
  | "never"
  /** Where it fits. */
  | "auto"
);

/** An error as JSON-RPC has it. */
export interface RpcError {
  /** From -32700 to -32600 as the standard says. The server's own are -32000 less the exit code that the command line would have ended with. */
  code: number;
  /** Left out of the standard's errors. */
  data?: ErrorData | null;
  /** For people. */
  message: string;
}

/** One run and its tree of processes. */
export interface RunMemory {
  anonymous_bytes: Bytes;
  file_backed_bytes: Bytes;
  gpu_bytes: Bytes;
  /** The model of that phase. */
  model: string | null;
  /** The recording or transcript. */
  path: string;
  phase: Phase | null;
  /** Process id of its supervisor. */
  pid: number;
  /** Null while no worker is alive. */
  worker_pid: number | null;
}

/** A worker's memory at one moment, and how much room there was. */
export interface Sample {
  anonymous_bytes: Bytes;
  /** What was left of the bound that was the fullest. */
  available_bytes: Bytes;
  file_backed_bytes: Bytes;
  gpu_bytes: Bytes;
  /** That bound; nothing where none could be read. */
  limit_bytes: Bytes;
  phase: Phase;
  pid: number;
  swapped_bytes?: Bytes;
  /** Milliseconds on the clock of the events. */
  t_ms: number;
}

/** A stretch of speech. Times are seconds from the start of the recording. */
export interface Segment {
  /** Between 0 and 1. */
  confidence: number | null;
  end: number;
  /** From 0. */
  id: number;
  /** From 0; shown to people as `Speaker 1` and up. */
  speaker_id: number | null;
  start: number;
  /** The model was not sure of it after every try. */
  suspect?: boolean;
  text: Spoken;
  /** Where asked for. */
  words?: Word[];
}

/** What `shutdown` takes. */
export interface ShutDown {
  /**
   * Let all jobs run to their ends first.
   * @default false
   */
  wait?: boolean;
}

/** Somebody who speaks in the recording. */
export interface Speaker {
  id: number;
  label: Spoken;
}

/** Words that somebody said, or a model made of them. `Debug` tells the length alone, so that no log line and no error message can hold them by accident. */
export type Spoken = string;

/** An event with its version and time, as it is written out. */
export type Stamped = {
  /** Version of the events' shape: `EVENT_VERSION`. A client that knows another should not go on. */
  v: 1;
  /** Which recording of a batch this is about, from 0 in the order in which they were given. Left out of what is about all that a worker did, and where there is only one recording. */
  recording?: number | null;
  /** Milliseconds since the start of the run. */
  t_ms: number;
} & Event;

/** What `job/status` takes. */
export interface Status {
  job_id: JobId;
  /**
   * Send the job's events from now on, after how it stands. Who submits a job gets them without asking.
   * @default false
   */
  subscribe?: boolean;
}

/** A part of the recording without text, and why. */
export interface Stretch {
  end: number;
  /** For people; never words of the recording. */
  reason: string;
  start: number;
  /** Somebody speaks there, as far as could be found out, and what was said is missing. */
  suspect?: boolean;
}

/** The model that wrote the transcript, and the one that was asked for. */
export interface SttUsed {
  engine: string;
  model_name: string;
  model_path: string;
  model_requested: string;
  /** Which model wrote which stretch, after a change in mid-recording; empty when one model wrote everything. */
  models?: ModelStretch[];
  /** What told where somebody speaks: `silero` or `energy`. */
  vad?: string;
}

/** What `job/submit` takes. */
export interface Submit {
  /** The recording. */
  audio_path: string;
  /** Ways that the speech model follows at once, at most 8. */
  beam?: number | null;
  /**
   * Load the models whether they fit or not.
   * @default false
   */
  force?: boolean;
  /** `txt`, `json`, `srt`, `vtt`; the first two when left out. */
  formats?: string[] | null;
  /** Whisper's code, such as `en`; as configured, else found out, when left out. */
  language?: string | null;
  /** The same for the summary. */
  llm?: string | null;
  /**
   * Transcribe only.
   * @default false
   */
  no_summary?: boolean;
  /** What becomes of the job when the client goes away; `cancel` when left out. */
  on_disconnect?: OnDisconnect;
  /** Beside the recording when left out. */
  output_dir?: string | null;
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number;
  /** Whether to go on where an earlier run on the same recording ended; `auto` when left out. */
  resume?: Resume;
  /**
   * Of all that is drawn at random.
   * @default 0
   */
  seed?: number;
  /** A path, a name or `demo`; as configured when left out. */
  stt?: string | null;
  /** At least 1; as configured when left out. */
  threads?: number | null;
  /**
   * In English whatever is spoken.
   * @default false
   */
  translate?: boolean;
  /** A voice detector's file, or `energy`; as configured, else beside the speech model when left out. */
  vad?: string | null;
  /** How long to wait for memory before the load is refused. Such as `90s` or `10m`, or a number of seconds. */
  wait_for_memory?: Wait | null;
  /** Windows of the recording decoded at once, at most 4, as far as threads and memory allow; one at a time when left out. */
  windows?: number | null;
  /**
   * Times of every word in the JSON transcript.
   * @default false
   */
  words?: boolean;
}

/** What `job/submit` and `job/summarize` give. */
export interface Submitted {
  job_id: JobId;
}

/** The answer to a call. What `result` is depends on the method: see `Methods`. */
export interface Success {
  jsonrpc: "2.0";
  id: RequestId;
  result: unknown;
}

/** What `job/summarize` takes. */
export interface Summarize {
  /**
   * Load the model whether it fits or not.
   * @default false
   */
  force?: boolean;
  /** Whisper's code. */
  language?: string | null;
  /** A path, a name or `demo`; as configured when left out. */
  llm?: string | null;
  /** What becomes of the job when the client goes away; `cancel` when left out. */
  on_disconnect?: OnDisconnect;
  /** Beside the transcript when left out. */
  output_dir?: string | null;
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number;
  /**
   * Of all that is drawn at random.
   * @default 0
   */
  seed?: number;
  /** At least 1; as configured when left out. */
  threads?: number | null;
  /** A `.transcript.json`, or a text with one statement a line. */
  transcript_path: string;
  /** How long to wait for memory before the load is refused. Such as `90s` or `10m`, or a number of seconds. */
  wait_for_memory?: Wait | null;
}

/** Memory of the machine, and of whatever bounds this process more tightly. In bytes. */
export interface SystemReading {
  /** Of the machine: what can be had without swapping; the page cache counts as available. */
  available: Bytes;
  /** Memory of graphics processors; empty where there is none, no driver tells, or nobody asked. */
  gpus: GpuReading[];
  /** Everything that bounds this process: the machine first, then the control groups above it that have a limit, innermost first. */
  limits: Limit[];
  /** How long tasks had to wait for memory, where the kernel tells. */
  pressure: Pressure | null;
  /** The system's own judgement, where it makes one (macOS, Windows). */
  pressure_level: PressureLevel | null;
  /** Of the machine. */
  total: Bytes;
}

/** Shares of a limit, in percent, from which on memory is scarce. */
export interface Thresholds {
  /** Above it a load is refused, and a worker that is running is asked to stop. */
  critical: number;
  /** Above it a load is admitted with a warning. */
  warning: number;
}

/** What memory did over time. */
export interface Timeline {
  /** In order of time. */
  marks: Mark[];
  /** In order of time, at most 400. */
  samples: Sample[];
}

/** An event object with its job. */
export type Told = {
  /** Version of the events' shape: `EVENT_VERSION`. A client that knows another should not go on. */
  v: 1;
  job_id: JobId;
  /** Which recording of a batch this is about, from 0 in the order in which they were given. Left out of what is about all that a worker did, and where there is only one recording. */
  recording?: number | null;
  /** Milliseconds since the start of the run. */
  t_ms: number;
} & Event;

/**
 * A recording in writing. The order of the fields is the order in the file.
 *
 * Fields unknown here are ignored on reading, so that files of later versions and of meetcap itself can be summarised; those that meetcap leaves out have a default.
 */
export interface Transcript {
  /** Absolute. Bytes that are not UTF-8 show as the replacement character; the file's real name is elsewhere. */
  audio_path: string;
  diarization_enabled?: boolean | null;
  /** Stretches with sound that gave no text, or none that could be believed. */
  dropped?: Stretch[];
  /** Of the recording, in seconds. */
  duration: number;
  /** Stretches that could not be decoded. */
  gaps?: Stretch[];
  /** Whisper's code. */
  language: string;
  /** The file's own rate in Hz. */
  sample_rate: number;
  segments: Segment[];
  /** Who speaks, where that is known. */
  speakers?: Speaker[] | null;
  stt: SttUsed;
}

/** An error for programs. */
export interface Trouble {
  advice: Advice;
  class: ErrorClass;
  /** The code that the command line would have ended with. */
  exit_code: number;
  /** For people. */
  message: string;
}

/** A time to wait. */
export type Wait = number | string;

/** A word and the marks around it. */
export interface Word {
  /** Between 0 and 1. */
  confidence: number | null;
  end: number;
  start: number;
  text: Spoken;
}
