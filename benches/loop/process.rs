//! What the kernel knows of processes.

use std::fs;

/// The kernel counts a process's time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The machine's load averages, as they are read.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    let cores = std::thread::available_parallelism().unwrap();
    format!("{} on {cores} cores", words.join(" "))
}

/// Seconds of the processors that a process has used; none where it is gone.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The only child of ours that runs this program.
pub(crate) fn child(program: &str) -> u32 {
    let ours = std::process::id().to_string();
    let is_ours = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == program && stat(*pid).is_some_and(|fields| fields[1] == ours)
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found: Vec<u32> = pids.filter(is_ours).collect();
    let [pid] = found[..] else { panic!("{found:?} are children that run {program}") };
    pid
}

/// A line of a process's status that counts KiB, in MiB: `VmHWM` is the peak of `VmRSS`.
pub(crate) fn mib(pid: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// Lets the peak begin anew at what is used now.
pub(crate) fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// The fields of `/proc/PID/stat` after the name, which is the only one that may hold a blank.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
