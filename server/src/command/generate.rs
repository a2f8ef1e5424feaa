//! `limn generate energy`: half-hourly demand of many sites with weather, seasons and holidays, made from a seed.
//!
//! The example, the demo and the benchmarks need data that anybody can have again, to the byte, on any machine: every
//! value depends only on the seed, the site and the half-hour, through integer hashing and plain arithmetic (no
//! mathematical library, whose last digits differ between platforms). It knows nothing of the server.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::config::{EnergyFlags, Generate, GenerateFlags};
use crate::{Error, Result};

/// Half-hours of a day.
const SLOTS: u64 = 48;
/// Local time is this many half-hours ahead of UTC all year, as in eastern Australia without daylight saving.
const LOCAL_AHEAD_SLOTS: u64 = 20;
/// Sites of one file; more do not fit into a site's four digits.
const SITES_MAX: u32 = 9999;
/// Days of one file: a hundred years.
const DAYS_MAX: u32 = 36_525;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratorOptions {
    /// Sites, from 1; with more than one the first column is `site`.
    pub sites: u32,
    /// Days for each site, from 1.
    pub days: u32,
    /// Another seed gives other weather and other noise.
    pub seed: u64,
    /// The first local day.
    pub start: NaiveDate,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        GeneratorOptions {
            sites: 1,
            days: 3 * 365,
            seed: 1,
            start: NaiveDate::from_ymd_opt(2012, 1, 1).unwrap_or_default(),
        }
    }
}

/// Writes the file that the flags ask for, and says on stderr what it wrote.
pub fn run(flags: GenerateFlags) -> Result<()> {
    let Generate::Energy(EnergyFlags { sites, days, seed, out }) = flags.what;
    let rows = energy_file(&GeneratorOptions { sites, days, seed, ..GeneratorOptions::default() }, &out)?;
    eprintln!("{rows} rows in `{}`", out.display());
    Ok(())
}

/// Writes a CSV file and gives its number of rows.
pub fn energy_file(options: &GeneratorOptions, out: &Path) -> Result<u64> {
    let named = |error: std::io::Error| Error::from(error).context(format!("writing `{}`", out.display()));
    let file = std::fs::File::create(out).map_err(named)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let rows = energy_csv(&mut writer, options)?;
    writer.flush().map_err(named)?;
    Ok(rows)
}

/// Writes the CSV text: `[site,]time,local_time,demand_mwh,temperature_c,holiday`, by site and time; gives its rows.
///
/// `time` is UTC with a `Z`, `local_time` has no offset; demand in MWh a half-hour, temperature in °C.
pub fn energy_csv(writer: &mut dyn Write, options: &GeneratorOptions) -> Result<u64> {
    check(options)?;
    let many = options.sites > 1;
    let head = if many { "site," } else { "" };
    writeln!(writer, "{head}time,local_time,demand_mwh,temperature_c,holiday")?;
    let clock: Vec<String> = (0..SLOTS).map(|slot| format!("{:02}:{:02}:00", slot / 2, slot % 2 * 30)).collect();
    let mut text = String::new();
    for site in 0..options.sites {
        let site_model = Site::new(options.seed, site);
        let name = if many { format!("site-{:04},", site + 1) } else { String::new() };
        for day in 0..options.days {
            let date = options.start.checked_add_days(Days::new(u64::from(day))).unwrap_or(options.start);
            let before = date.pred_opt().unwrap_or(date);
            let calendar = Calendar::of(date);
            let holiday = if calendar.holiday { "True" } else { "False" };
            text.clear();
            for (slot, local) in clock.iter().enumerate() {
                let utc_slot = (slot + (SLOTS - LOCAL_AHEAD_SLOTS) as usize) % SLOTS as usize;
                let utc_date = if (slot as u64) < LOCAL_AHEAD_SLOTS { before } else { date };
                let utc = clock.get(utc_slot).map(String::as_str).unwrap_or_default();
                let (demand, temperature) = site_model.reading(&calendar, u64::from(day), slot as u64);
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{name}{utc_date}T{utc}Z,{date}T{local},{demand:.3},{temperature:.2},{holiday}");
            }
            writer.write_all(text.as_bytes())?;
        }
    }
    Ok(u64::from(options.sites) * u64::from(options.days) * SLOTS)
}

fn check(options: &GeneratorOptions) -> Result<()> {
    let within = |what: &str, found: u32, max: u32| match found {
        0 => Err(Error::input(format!("expected at least one {what}, found 0"))),
        found if found > max => Err(Error::input(format!("expected at most {max} {what}s, found {found}"))),
        _ => Ok(()),
    };
    within("site", options.sites, SITES_MAX)?;
    within("day", options.days, DAYS_MAX)
}

/// What the calendar says of a day.
struct Calendar {
    /// The share of the year that is over, from 0 to 1.
    year: f64,
    weekend: bool,
    holiday: bool,
}

impl Calendar {
    fn of(date: NaiveDate) -> Self {
        Calendar {
            year: f64::from(date.ordinal0()) / 365.25,
            weekend: matches!(date.weekday(), Weekday::Sat | Weekday::Sun),
            holiday: is_holiday(date),
        }
    }
}

/// New Year's Day, Australia Day, Anzac Day, the second Monday of June, Christmas and the day after.
fn is_holiday(date: NaiveDate) -> bool {
    match (date.month(), date.day()) {
        (1, 1 | 26) | (4, 25) | (12, 25 | 26) => true,
        (6, 8..=14) => date.weekday() == Weekday::Mon,
        _ => false,
    }
}

/// What each random number is for; each purpose has numbers of its own.
#[derive(Clone, Copy)]
enum Purpose {
    Size,
    Climate,
    Weather,
    Noise,
}

/// A site's own character.
struct Site {
    seed: u64,
    site: u64,
    /// Demand relative to the typical site.
    size: f64,
    /// °C that the site is warmer than the typical one.
    warmth: f64,
}

impl Site {
    fn new(seed: u64, site: u32) -> Self {
        let mut made = Site { seed, site: u64::from(site), size: 1.0, warmth: 0.0 };
        made.size = 0.5 + 1.5 * made.uniform(Purpose::Size, 0);
        made.warmth = 4.0 * (made.uniform(Purpose::Climate, 0) - 0.5);
        made
    }

    /// Demand and temperature of a half-hour.
    fn reading(&self, calendar: &Calendar, day: u64, slot: u64) -> (f64, f64) {
        let hour = slot as f64 / SLOTS as f64;
        // Weather moves from one day's value to the next one's.
        let (today, tomorrow) = (self.bell(Purpose::Weather, day), self.bell(Purpose::Weather, day + 1));
        let weather = 4.0 * (today * (1.0 - hour) + tomorrow * hour);
        let temperature = 15.0 + self.warmth + 6.0 * wave(calendar.year + 0.25) + 4.0 * wave(hour - 0.375) + weather;
        let daily = 1.0 + 0.16 * wave(hour - 0.333) + 0.06 * wave(2.0 * hour - 0.2);
        let quiet = if calendar.holiday {
            0.88
        } else if calendar.weekend {
            0.93
        } else {
            1.0
        };
        let cooling = (temperature - 18.0) * (temperature - 18.0) * 3.0;
        let noise = 60.0 * self.bell(Purpose::Noise, day * SLOTS + slot);
        let demand = self.size * (4200.0 * daily * quiet + cooling + noise);
        (demand.max(0.0), temperature)
    }

    /// Bell-shaped around 0 with variance 1: the sum of twelve uniform numbers, less 6.
    fn bell(&self, purpose: Purpose, counter: u64) -> f64 {
        let sum: f64 = (0..12).map(|i| self.uniform(purpose, counter * 12 + i)).sum();
        sum - 6.0
    }

    /// Uniform from 0 to below 1, a function of what it is for and its counter alone.
    fn uniform(&self, purpose: Purpose, counter: u64) -> f64 {
        let stream = mix(mix(self.seed ^ (purpose as u64) << 56) ^ self.site);
        // The 53 bits that a double holds exactly.
        (mix(stream ^ counter) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, <https://doi.org/10.1145/2714064.2660195>).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// About `sin(2πt)`, to 0.002: two parabolas with a correction, so that every machine gives the same bits.
fn wave(t: f64) -> f64 {
    let t = t - t.floor();
    let half = |t: f64| 16.0 * t * (0.5 - t);
    let y = if t < 0.5 { half(t) } else { -half(t - 0.5) };
    0.225 * (y * y.abs() - y) + y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(options: &GeneratorOptions) -> String {
        let mut bytes = Vec::new();
        let rows = energy_csv(&mut bytes, options).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count() as u64, rows + 1);
        text
    }

    fn days(sites: u32, days: u32, seed: u64) -> GeneratorOptions {
        GeneratorOptions { sites, days, seed, ..GeneratorOptions::default() }
    }

    #[test]
    fn the_shape_is_that_of_the_real_file() {
        let text = csv(&days(1, 2, 1));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("time,local_time,demand_mwh,temperature_c,holiday"));
        let first: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(first[..2], ["2011-12-31T14:00:00Z", "2012-01-01T00:00:00"]);
        assert_eq!(first[4], "True");
        let last: Vec<&str> = text.lines().last().unwrap().split(',').collect();
        assert_eq!(last[..2], ["2012-01-02T13:30:00Z", "2012-01-02T23:30:00"]);
        assert_eq!(last[4], "False");
    }

    #[test]
    fn sites_have_a_column_and_a_character() {
        let text = csv(&days(2, 1, 1));
        assert!(text.starts_with("site,time,"));
        let of = |site: &str| text.lines().filter(|l| l.starts_with(site)).count();
        assert_eq!((of("site-0001,"), of("site-0002,")), (48, 48));
        let demand = |line: usize| text.lines().nth(line).unwrap().split(',').nth(3).unwrap().to_string();
        assert_ne!(demand(1), demand(49));
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(csv(&days(2, 3, 7)), csv(&days(2, 3, 7)));
        assert_ne!(csv(&days(2, 3, 7)), csv(&days(2, 3, 8)));
        // A longer file begins with the shorter one.
        assert!(csv(&days(1, 5, 7)).starts_with(&csv(&days(1, 3, 7))));
    }

    #[test]
    fn summers_are_warm_and_holidays_quiet() {
        let mean = |date: (u32, u32), column: usize| {
            let start = NaiveDate::from_ymd_opt(2013, date.0, date.1).unwrap();
            let text = csv(&GeneratorOptions { days: 28, start, ..GeneratorOptions::default() });
            let values: Vec<f64> =
                text.lines().skip(1).map(|l| l.split(',').nth(column).unwrap().parse().unwrap()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        assert!(mean((1, 10), 3) > mean((7, 10), 3) + 6.0);
        assert!(mean((1, 10), 2) > 0.0);
        assert!(is_holiday(NaiveDate::from_ymd_opt(2013, 6, 10).unwrap()));
        assert!(!is_holiday(NaiveDate::from_ymd_opt(2013, 6, 11).unwrap()));
    }

    #[test]
    fn the_wave_is_a_sine_and_the_bell_is_centred() {
        for i in 0..1000 {
            let t = f64::from(i) / 250.0 - 2.0;
            assert!((wave(t) - (t * std::f64::consts::TAU).sin()).abs() < 0.002, "{t}");
        }
        let site = Site::new(1, 0);
        let bells: Vec<f64> = (0..10_000).map(|i| site.bell(Purpose::Noise, i)).collect();
        let mean = bells.iter().sum::<f64>() / 1e4;
        let variance = bells.iter().map(|b| (b - mean) * (b - mean)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let refused = |options| energy_csv(&mut Vec::new(), &options).unwrap_err().to_string();
        assert_eq!(refused(days(0, 1, 1)), "expected at least one site, found 0");
        assert_eq!(refused(days(1, 40_000, 1)), "expected at most 36525 days, found 40000");
    }
}
