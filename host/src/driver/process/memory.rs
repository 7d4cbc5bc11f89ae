//! What processes take of the machine's memory, in proportional set sizes: what several share is counted once, each its
//! part (`/proc/PID/smaps_rollup`). Where the kernel does not tell that, the resident set.

use std::collections::HashMap;
use std::fs;

use super::guard::children;

/// Where the machine's memory ends for this program: the control group's limit, or all there is. None: nobody knows.
pub fn limit() -> Option<u64> {
    let total = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let own = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let own = own.and_then(|text| text.trim().parse::<u64>().ok());
    Some(own.map_or(total, |own| own.min(total)))
}

/// Of each of these CLIs, what it takes with all its descendants and its guard; one that is gone is left out. Blocks:
/// the kernel walks all their pages.
pub fn of_trees(clis: &[u32]) -> HashMap<u32, u64> {
    let children = children();
    let mut guards = HashMap::new();
    for (parent, below) in &children {
        for child in below {
            guards.insert(*child, *parent);
        }
    }
    let ours = i32::try_from(std::process::id()).unwrap_or_default();
    let mut sizes = HashMap::new();
    for cli in clis {
        let Ok(pid) = i32::try_from(*cli) else { continue };
        // Whoever lost its parent falls to the guard, which is our child.
        let guard = guards.get(&pid).copied();
        let root = guard.filter(|guard| guards.get(guard) == Some(&ours)).unwrap_or(pid);
        let (mut below, mut size) = (vec![root], None);
        while let Some(pid) = below.pop() {
            if let Some(bytes) = of_process(pid) {
                size = Some(size.unwrap_or(0_u64).saturating_add(bytes));
            }
            below.extend(children.get(&pid).into_iter().flatten());
        }
        sizes.extend(size.map(|size| (*cli, size)));
    }
    sizes
}

fn of_process(pid: i32) -> Option<u64> {
    let shared = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    if let Some(bytes) = shared.and_then(|text| field(&text, "Pss:")) {
        return Some(bytes);
    }
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// `NAME: 12 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_from_its_line() {
        let text = "5631-7ff ---p 00000000 00:00 0 [rollup]\nRss:  1740 kB\nPss:   215 kB\nPss_Dirty: 112 kB\n";
        assert_eq!((field(text, "Pss:"), field(text, "Swap:")), (Some(215 * 1024), None));
    }

    #[test]
    fn a_process_and_what_it_started_are_measured_together() {
        let me = std::process::id();
        let alone = of_process(i32::try_from(me).unwrap()).expect("this process is there");
        assert!(alone > 1 << 20, "{alone}");
        let sizes = of_trees(&[me, u32::MAX, 4_000_000]);
        assert!(sizes.len() == 1 && sizes[&me] > alone / 2, "{sizes:?}");
        assert!(limit().is_some_and(|limit| limit > alone));
    }
}
