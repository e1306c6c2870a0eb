"""Checks of a pickle's opcodes before it runs, against harm to the unpickler itself.

Which globals a pickle may use is checked elsewhere, while it runs.
"""

import pickletools
from io import BytesIO

from jaxalign.models.weights._stored import Refused

# Extension codes name globals by a number, from a table of the process; find_class is not asked.
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_LARGEST_TUPLE = 1000


def checked_end(raw: bytes, start: int) -> int:
    """Where the pickle that begins at ``start`` stops.

    Two attacks need no global. Python allocates a memo as large as the highest number given to an
    object. And it hashes a tuple by hashing all its parts, every time a part occurs: nested tuples
    overflow the stack or take forever.

    Raises:
      Refused: extension codes, memo numbers larger than the count of opcodes, a tuple with more
        than a thousand objects in it.
    """
    stream = BytesIO(raw)
    stream.seek(start)
    # The unpickler's stack and memo, with the number of objects in each entry instead of the entry:
    # itself and, in a tuple, those of its parts. A mark is 0.
    stack: list[int] = []
    memo: dict[int, int] = {}
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        if opcode.name in _EXTENSIONS:
            raise Refused(
                f"it uses the opcode {opcode.name} at byte {position}, "
                "which no file of tensors needs"
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
                f"it hangs {weight:,} objects on one tuple at byte {position}; "
                "files of tensors have a few"
            )
        stack += [0] if opcode.name == "MARK" else [weight] * len(opcode.stack_after)
    return stream.tell()


def _take(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """Pop the entries that the opcode pops."""
    taken: list[int] = []
    single = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        # Everything up to the mark, which is 0, then the entries below the mark.
        while entry := stack.pop():
            taken.append(entry)
        single = opcode.stack_before.index(pickletools.markobject)
    return taken + [stack.pop() for _ in range(single)]
