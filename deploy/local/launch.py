"""Becomes another program which cannot outlive its supervisor: run as a script, with the standard library alone.

Arguments: the keeper's file descriptor, the signal that asks the program to stop, the user id to become (-1: stay),
1 when the program must keep root's read access to folders, then the program and its arguments.
"""

import ctypes
import os
import sys

_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


def _become(user_id: int, group_id: int, *, keep_read_access: bool) -> None:
    os.setgroups([])
    os.setgid(group_id)
    if not keep_read_access:
        os.setuid(user_id)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Changing the user then leaves capabilities alone, and access(2), by which initdb looks for its own programs,
    # judges with them too; otherwise it would forget them for any user but root.
    _check(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setuid(user_id)
    mask = 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable for the first 32 capabilities, then for the rest
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _check(libc.capset(header, sets))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot keep read access: {os.strerror(error)}")


def main(arguments: list[str]) -> None:
    """Registers this process with the keeper, drops rights and becomes the program."""
    keeper, stop_signal, user_id, keep_read_access, *command = arguments
    os.setsid()
    # The keeper sees the end of its pipe only after this descriptor is closed, which exec does: a supervisor
    # that dies right now cannot leave this process unregistered.
    os.write(int(keeper), f"+ {os.getpid()} {stop_signal}\n".encode())
    os.set_inheritable(int(keeper), False)
    if user_id != "-1":
        import pwd

        group_id = pwd.getpwuid(int(user_id)).pw_gid
        _become(int(user_id), group_id, keep_read_access=keep_read_access == "1")
    os.execvp(command[0], command)  # noqa: S606 - that is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
