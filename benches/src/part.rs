//! A part of the run: some figures, measured in a process of its own.
//!
//! One process a part keeps memory and CPU time of one part out of the figures of another. A part that
//! needs more processes (a peer, a victim that dies) names them as roles; all are this one binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::figures::Summary;

/// A part.
pub struct Part {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it does, for whoever waits for it.
    pub title: &'static str,
    /// Measures and adds its figures. The error is a sentence.
    pub measure: fn(&Run, &mut Summary) -> Result<(), String>,
    /// Other processes that it starts.
    pub roles: &'static [Role],
}

/// A process that a part starts.
pub struct Role {
    /// What `--role` calls it.
    pub name: &'static str,
    /// Does it, until it is done or killed.
    pub work: fn(&[String]) -> Result<(), String>,
}

/// Where a part finds what it needs.
#[derive(Clone, Debug)]
pub struct Run {
    /// The product's binary.
    pub product: PathBuf,
    /// A folder of its own on the disk of the build, empty at the start and removed at the end.
    pub scratch: PathBuf,
}

impl Run {
    /// A role of this binary as a process, not started yet.
    ///
    /// # Errors
    /// When the system does not tell which file this process runs.
    pub fn role(&self, name: &str, words: &[&str]) -> Result<Command, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        command.args(["--role", name]).args(words);
        Ok(command)
    }

    /// Runs a role to its end and returns what it printed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn finish_role(&self, name: &str, words: &[&str]) -> Result<String, String> {
        let output = self
            .role(name, words)?
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A folder that is removed when dropped.
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes the folder, empty.
    ///
    /// # Errors
    /// When the system refuses, in words.
    pub fn new(folder: &Path) -> Result<Scratch, String> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Scratch { folder: folder.to_owned() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
