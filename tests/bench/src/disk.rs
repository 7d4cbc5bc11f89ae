//! What the disk itself takes for one durable commit: reported beside what the host adds.

use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;

pub(crate) fn commits(count: usize) -> Result<Vec<Duration>> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let mut file = std::fs::File::create(folder.path().join("commit"))?;
    file.write_all(&vec![0; 1 << 20])?;
    file.sync_all()?;
    let page = [7; 4096];
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        let begun = Instant::now();
        file.seek(std::io::SeekFrom::Start((index as u64 % 256) * 4096))?;
        file.write_all(&page)?;
        file.sync_data()?;
        all.push(begun.elapsed());
    }
    Ok(all)
}
