//! The gate's power and its false alarms, on simulated checks with the noise that was seen in real ones: a heap that
//! breathes by tens of KiB and remembers, pages that come once and stay, a machine on which others work.

use super::material::Draw;
use super::series::{Measure, Series};
use super::verdict::{Verdict, judge};
use super::{DEFAULT_BUDGET, DEFAULT_CYCLES};
use crate::memory::Bytes;

const SEED: u64 = 20_261_127;

/// Numbers with the shape of noise.
struct Noise(Draw);

impl Noise {
    fn of(seed: u64) -> Self {
        println!("seed {seed}");
        Self(Draw(seed))
    }

    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        let bits = u32::try_from(self.0.number() >> 32).unwrap_or(0);
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    }

    /// Of a normal distribution, near enough.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Each value resembles the one before by so much.
    fn remembering(&mut self, spread: f64, resemblance: f64) -> Vec<f64> {
        let fresh = (1.0 - resemblance * resemblance).sqrt();
        let mut last = self.normal();
        let mut next = || {
            last = resemblance * last + fresh * self.normal();
            spread * last
        };
        (0..DEFAULT_CYCLES).map(|_| next()).collect()
    }

    /// Memory that fills up at first, most of it before the warm-up is over, and then creeps on, in whole pages.
    fn own_memory(&mut self) -> Vec<f64> {
        let (fill, pace, creep) = (2000.0 * self.uniform(), 1.0 + 4.0 * self.uniform(), 3.0 * self.uniform());
        let breath = self.remembering(40.0, 0.3);
        let level = |cycle: f64| 1500.0 + fill * (1.0 - (-cycle / pace).exp()) + creep * cycle;
        let at = (0..DEFAULT_CYCLES).map(f64::from);
        at.zip(breath).map(|(cycle, breath)| ((level(cycle) + breath) / 4.0).round() * 4.0).collect()
    }

    /// All that a check of both phases measures, with nothing wrong.
    fn check(&mut self) -> Vec<Series> {
        let series = |measure, values| Series { measure, values };
        let constant = |value: f64| vec![value; DEFAULT_CYCLES as usize];
        let threads =
            constant(2.0).into_iter().map(|count| count + f64::from(u8::from(self.uniform() < 0.1))).collect();
        vec![
            series(Measure::SupervisorMemory, self.own_memory()),
            series(Measure::Descriptors, constant(9.0)),
            series(Measure::Threads, threads),
            series(Measure::Children, constant(0.0)),
            // Several times what was seen.
            series(Measure::UnaccountedMemory, self.remembering(3000.0, 0.3)),
            series(Measure::SystemMemory, self.remembering(50_000.0, 0.6)),
        ]
    }
}

/// What fails the gate.
fn leaks(series: Vec<Series>) -> Vec<Measure> {
    leaks_above(series, DEFAULT_BUDGET)
}

fn leaks_above(series: Vec<Series>, budget: Bytes) -> Vec<Measure> {
    let judged = judge(series, budget);
    judged.iter().filter(|series| series.verdict == Verdict::Leak).map(|series| series.measure).collect()
}

#[test]
fn half_a_megabyte_in_each_cycle_is_found_in_nearly_every_trial() {
    let mut noise = Noise::of(SEED);
    let mut found = 0;
    for _ in 0..200 {
        let mut series = noise.check();
        for (cycle, value) in (0_u32..).zip(&mut series[0].values) {
            *value += 500_000.0 / 1024.0 * f64::from(cycle);
        }
        found += u32::from(leaks(series) == [Measure::SupervisorMemory]);
    }
    println!("found in {found} of 200 trials");
    assert!(found >= 190, "{found} of 200");
}

#[test]
fn where_nothing_leaks_hardly_ever_anything_is_found() {
    let mut noise = Noise::of(SEED + 1);
    let (mut alarms, mut noticed) = (0, 0);
    for _ in 0..2000 {
        let judged = judge(noise.check(), DEFAULT_BUDGET);
        alarms += u32::from(judged.iter().any(|series| series.verdict == Verdict::Leak));
        noticed += u32::from(judged.iter().any(|series| series.verdict == Verdict::Noticed));
    }
    println!("{alarms} false alarms and {noticed} false notices in 2,000 checks");
    // Of the machine as a whole, which remembers more than can be corrected for: told, and nothing fails by it.
    assert!(alarms <= 20 && noticed <= 60, "{alarms} and {noticed} of 2,000");
}

#[test]
fn the_statistics_alone_stay_near_their_level_without_any_budget() {
    let mut noise = Noise::of(SEED + 3);
    let mut alarms = 0;
    for _ in 0..2000 {
        let series =
            (0..6).map(|_| Series { measure: Measure::UnaccountedMemory, values: noise.remembering(100.0, 0.3) });
        alarms += u32::from(!leaks_above(series.collect(), Bytes(0)).is_empty());
    }
    println!("{alarms} false alarms without a budget in 2,000 checks of six series");
    // One in a hundred is what they promise of values without memory; these have some, and it is corrected for.
    assert!(alarms <= 30, "{alarms} of 2,000");
}

#[test]
fn saws_steps_and_what_fills_up_pass() {
    let mut noise = Noise::of(SEED + 2);
    let mut alarms = Vec::new();
    for trial in 0..300 {
        let (height, phase) = (8000.0 * noise.uniform(), 12.0 * noise.uniform());
        let (period, step) = (3.0 + 9.0 * noise.uniform(), 5.0 + 33.0 * noise.uniform());
        let pace = 2.0 + 8.0 * noise.uniform();
        let saw = |cycle: f64| height * ((cycle + phase) / period).fract();
        let rise = |cycle: f64| if cycle < step { 0.0 } else { height };
        let filling = |cycle: f64| height * (1.0 - (-cycle / pace).exp());
        let shapes: [(&str, &dyn Fn(f64) -> f64); 3] = [("saw", &saw), ("step", &rise), ("filling", &filling)];
        for (name, shape) in shapes {
            let breath = noise.remembering(20.0, 0.3);
            let values =
                breath.into_iter().zip(0_u32..).map(|(breath, cycle)| shape(f64::from(cycle)) + breath).collect();
            let found = leaks(vec![Series { measure: Measure::SupervisorMemory, values }]);
            if !found.is_empty() {
                alarms.push(format!("{name} of trial {trial}: {height:.0} KiB, {period:.1}, {step:.1}, {pace:.1}"));
            }
        }
    }
    println!("{} false alarms in 900 saws, steps and fillings", alarms.len());
    // One in a hundred, as of everything.
    assert!(alarms.len() <= 9, "{} of 900: {alarms:#?}", alarms.len());
}
