//! Why a command ends without having done its work.

use engine::EngineError;
use gateway::ServeError;
use journal::JournalError;
use notifier::NotifierError;

use crate::End;

/// A reason, and whose it is to put right.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A setting is to blame: starting again will not help.
    Configuration(String),
    /// Something else is: starting again may help.
    Failed(String),
}

impl Trouble {
    /// Prints the reason; the end that the process comes to.
    pub(crate) fn tell(self, command: &str) -> End {
        match self {
            Trouble::Configuration(why) => {
                eprintln!("{command}: configuration: {why}");
                End::Configuration
            }
            Trouble::Failed(why) => {
                eprintln!("{command}: {why}");
                End::Failed
            }
        }
    }

    fn of(is_setting: bool, what: &str, error: &dyn std::fmt::Display) -> Trouble {
        let why = if what.is_empty() { error.to_string() } else { format!("{what}: {error}") };
        if is_setting { Trouble::Configuration(why) } else { Trouble::Failed(why) }
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::Failed(why)
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Trouble {
        Trouble::of(matches!(error, JournalError::Setting { .. }), "", &error)
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Trouble {
        match error {
            EngineError::Journal(error) => error.into(),
            EngineError::Setting { .. } => Trouble::of(true, "", &error),
            error => Trouble::of(false, "engine", &error),
        }
    }
}

impl From<ServeError> for Trouble {
    fn from(error: ServeError) -> Trouble {
        match error {
            ServeError::Journal(error) => error.into(),
            ServeError::OtherSecrets(error) => Trouble::of(true, "", &error),
            error => Trouble::of(matches!(error, ServeError::Setting(_)), "gateway", &error),
        }
    }
}

impl From<NotifierError> for Trouble {
    fn from(error: NotifierError) -> Trouble {
        match error {
            NotifierError::Journal(error) => error.into(),
            error => Trouble::of(matches!(error, NotifierError::Setting(_)), "notifier", &error),
        }
    }
}
