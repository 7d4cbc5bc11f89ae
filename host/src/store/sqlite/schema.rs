//! The file's schema: its versions in order, and how an older file becomes the newest. Before a file that holds
//! something is changed, a copy of it is laid beside it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::super::{Result, StoreError};

/// "boty" in ASCII: says that a SQLite file is ours.
const APPLICATION_ID: i32 = 0x626f_7479;

/// Each brings the file from the version of its place to the next. Never edited once released; only added to.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
];

/// Checks that the file is ours and brings it to the newest version. `path`: where the copy goes beside; none for
/// a store in memory, which is always new.
pub(super) fn prepare(conn: &mut Connection, path: Option<&Path>, migrations: &[&str]) -> Result<()> {
    let newest = migrations.len();
    let found = version(conn, path)?;
    if found > newest {
        return Err(StoreError::Unusable(format!(
            "`{}` has schema version {found}, this botyard knows {newest}\n\nhint: run the newer botyard again, or \
             restore the copy that it made beside the file before it changed it",
            name(path)
        )));
    }
    if found == newest {
        return Ok(());
    }
    if let (Some(path), true) = (path, found > 0) {
        let copy = copy_before(conn, path, found)?;
        tracing::info!(from = found, to = newest, copy = %copy.display(), "the store is brought to a newer version");
    }
    for (version, sql) in (1i64..).zip(migrations).skip(found) {
        let step = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", version)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.commit()?;
    }
    Ok(())
}

/// The schema version of the file; 0 for an empty one.
fn version(conn: &Connection, path: Option<&Path>) -> Result<usize> {
    let foreign = || {
        StoreError::Unusable(format!(
            "`{}` is not a file of botyard's\n\nhint: name another `data_dir`, or move that file away",
            name(path)
        ))
    };
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => foreign(),
            _ => error.into(),
        })?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let ours = if tables == 0 {
        version == 0
    } else {
        application == APPLICATION_ID
    };
    if !ours {
        return Err(foreign());
    }
    usize::try_from(version).map_err(|_| foreign())
}

/// A whole copy of the file as it is, beside it: `botyard.db.v1.bak`.
fn copy_before(conn: &Connection, path: &Path, version: usize) -> Result<PathBuf> {
    let mut file = path.as_os_str().to_owned();
    file.push(format!(".v{version}.bak"));
    let copy = PathBuf::from(file);
    super::create_private(&copy)?;
    // Overwrites a copy that an interrupted attempt left.
    let mut target = Connection::open(&copy)?;
    let backup = rusqlite::backup::Backup::new(conn, &mut target)?;
    if backup.step(-1)? != rusqlite::backup::StepResult::Done {
        return Err(StoreError::Unavailable(format!(
            "`{}` could not be written",
            copy.display()
        )));
    }
    drop(backup);
    target.close().map_err(|(_, error)| error)?;
    Ok(copy)
}

fn name(path: Option<&Path>) -> String {
    path.map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string())
}
