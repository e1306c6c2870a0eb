"""What is looked at in a pickle before it runs: the opcodes that harm Python's own machine,
whatever names they may use.
"""

import pickletools
from io import BytesIO

from jaxalign.models.weights._stored import Refused

# Extension codes are globals by number, from a table of the process that is read without asking for
# a name.
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_LARGEST_TUPLE = 1000


def checked_end(raw: bytes, start: int) -> int:
    """Where the pickle that begins at ``start`` stops.

    Python reserves memory for as many objects as the highest number given to one. It hashes a tuple
    by hashing all that hangs on it, again for every time it hangs there, so that tuples of tuples
    overflow the stack or never end.

    Raises:
      Refused: extension codes, objects with numbers past their count, a tuple on which over a
        thousand objects hang.
    """
    stream = BytesIO(raw)
    stream.seek(start)
    stack: list[int] = []  # how many objects hang on each entry, itself included; a mark is 0
    memo: dict[int, int] = {}
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        if opcode.name in _EXTENSIONS:
            raise Refused(
                f"it uses the opcode {opcode.name} at byte {position}, which no file of tensors needs"
            )
        number = argument if isinstance(argument, int) else -1
        if opcode.name in _PUTS:
            if not 0 <= number <= count:
                raise Refused(
                    f"it numbers object {number:,} at byte {position}, after {count:,} steps"
                )
            memo[number] = stack[-1]
        taken = _take(stack, opcode)
        weight = 1
        if opcode.name in _TUPLES:
            weight += sum(taken)
        elif opcode.name in _GETS:
            weight = memo[number]
        elif opcode.name in ("DUP", "MEMOIZE"):
            weight = taken[0]
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = weight
        if weight > _LARGEST_TUPLE:
            raise Refused(
                f"it hangs {weight:,} objects on one tuple at byte {position}; files of tensors have a few"
            )
        stack += [0] if opcode.name == "MARK" else [weight] * len(opcode.stack_after)
    return stream.tell()


def _take(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """Take off the stack what the opcode does."""
    taken: list[int] = []
    wanted = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        while entry := stack.pop():
            taken.append(entry)
        wanted = opcode.stack_before.index(pickletools.markobject)
    return taken + [stack.pop() for _ in range(wanted)]
