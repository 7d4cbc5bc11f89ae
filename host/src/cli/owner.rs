//! Whose a data folder is. What another user makes there, as `sudo` does, its host could not open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::desk::STORE;
use super::failure::Failure;

/// Who this is.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Refuses a command that makes files which the host is to open, where this user is not the one that runs it.
pub(super) fn own(data_dir: &Path, user: u32) -> Result<(), Failure> {
    match owner(data_dir) {
        Some((of, owner)) => is(&of, owner, user),
        None => Ok(()),
    }
}

/// The user that runs the host made the store; before there is one, the folder is there for it. None: nor is that.
fn owner(data_dir: &Path) -> Option<(PathBuf, u32)> {
    let of = |path: PathBuf| fs::metadata(&path).ok().map(|found| (path, found.uid()));
    of(data_dir.join(STORE)).or_else(|| of(data_dir.to_owned()))
}

fn is(of: &Path, owner: u32, user: u32) -> Result<(), Failure> {
    if owner == user {
        return Ok(());
    }
    let of = of.display();
    Err(Failure::user(format!(
        "`{of}` is of user {owner}, and this is user {user}: the host could not open what this makes there"
    ))
    .hint(format!(
        "run it as the user who owns `{of}`, as with `sudo -u '#{owner}'`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_user_whose_the_data_is_makes_files_there() {
        let of = Path::new("data/botyard.db");
        assert_eq!(is(of, 1000, 1000), Ok(()));
        assert_eq!(is(of, 0, 0), Ok(()));
        for (owner, user) in [(1000, 0), (0, 1000), (1000, 1001)] {
            let text = is(of, owner, user).expect_err("it is another's").to_string();
            let hint = format!("hint: run it as the user who owns `data/botyard.db`, as with `sudo -u '#{owner}'`");
            assert!(text.ends_with(&hint), "{text}");
        }
    }

    #[test]
    fn the_store_says_whose_the_data_is_and_before_there_is_one_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        assert_eq!(owner(&data), None);
        assert_eq!(own(&data, user() + 1), Ok(()));
        fs::create_dir(&data).expect("a folder");
        assert_eq!(owner(&data), Some((data.clone(), user())));
        let store = data.join(STORE);
        fs::write(&store, "").expect("a file");
        assert_eq!(owner(&data), Some((store, user())));
        assert_eq!(own(&data, user()), Ok(()));
        assert!(own(&data, user() + 1).is_err());
    }
}
