"""Two-class tasks on natural images from outside the package: CIFAR-10 and ImageNet photos.

Classes have numbers; tasks on the odd ones serve to choose, those on the even ones to decide. No
two tasks share an image.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np

from jaxalign.data import Dataset, cifar10
from jaxalign.data._cifar10 import CLASSES
from jaxalign.studies.pretrained.tasks import NATURAL, Task, as_bytes, first, of_images
from jaxalign.studies.shared.images import photos
from jaxalign.studies.shared.outside import CIFAR10, PHOTOS, is_there, path_of

Half = Literal["odd", "even"]
Part = Literal["train", "test"]
PARITY: dict[Half, int] = {"odd": 1, "even": 0}

SOURCES = (CIFAR10, PHOTOS)

PHOTO_HOG_SIDE = 64

VEHICLES = (0, 1, 8, 9)
"""Of CIFAR-10; the others are animals."""

# Numbers of ImageNet's classes in the usual order, in which 0 to 397 are animals.
DOGS = tuple(range(151, 269))
MAMMALS = (*range(101, 107), *range(147, 151), *range(269, 300), *range(330, 389))
"""Other than dogs."""
OTHER_ANIMALS = (*range(101), *range(107, 147), *range(300, 330), *range(389, 398))
# fmt: off
DRIVEN = (
    403, 404, 405, 407, 408, 436, 444, 450, 466, 468, 472, 484, 510, 511, 547, 554, 555, 561, 565,
    569, 573, 575, 576, 586, 595, 603, 609, 612, 625, 627, 628, 654, 656, 661, 665, 670, 671, 675,
    690, 705, 717, 734, 751, 757, 779, 780, 802, 803, 812, 814, 817, 820, 829, 833, 847, 856, 864,
    866, 867, 870, 871, 874, 880, 895, 914,
)
BUILDINGS = (
    410, 415, 424, 425, 437, 442, 449, 454, 467, 483, 497, 498, 500, 525, 538, 540, 580, 582, 624,
    634, 649, 660, 663, 668, 682, 698, 706, 718, 727, 743, 762, 788, 821, 832, 839, 853, 858, 860,
    863, 865, 873, 888, 900, 915,
)
CLOTHES = (
    399, 400, 411, 433, 439, 445, 451, 452, 457, 459, 465, 474, 490, 496, 501, 502, 514, 515, 518,
    529, 552, 560, 568, 578, 601, 608, 610, 614, 617, 630, 638, 639, 652, 655, 658, 667, 689, 697,
    715, 735, 770, 774, 775, 793, 806, 808, 824, 834, 841, 842, 869, 887, 906,
)
KITCHENWARE = (
    438, 440, 441, 463, 469, 473, 499, 503, 504, 505, 512, 521, 544, 550, 567, 572, 618, 647, 651,
    653, 659, 666, 712, 720, 725, 737, 738, 766, 773, 804, 809, 813, 827, 828, 849, 859, 868, 876,
    883, 891, 898, 899, 901, 907, 909, 910, 923,
)
DEVICES = (
    401, 402, 409, 420, 432, 482, 485, 486, 487, 494, 508, 513, 527, 528, 530, 531, 541, 545, 546,
    558, 566, 577, 579, 590, 592, 593, 594, 598, 605, 613, 620, 632, 641, 642, 650, 662, 664, 673,
    683, 684, 687, 688, 699, 704, 707, 713, 732, 742, 745, 754, 759, 761, 776, 778, 782, 810, 822,
    826, 848, 851, 875, 878, 881, 889, 892,
)
# fmt: on
FOOD = (*range(924, 958), *range(959, 970))
OTHER_OBJECTS = tuple(
    {*range(398, 923)}.difference(DRIVEN, BUILDINGS, CLOTHES, KITCHENWARE, DEVICES)
)

PHOTO_GROUPS = {
    "animal or object": (OTHER_ANIMALS, OTHER_OBJECTS),
    "dog or other mammal": (DOGS, MAMMALS),
    "vehicle or building": (DRIVEN, BUILDINGS),
    "clothing or kitchenware": (CLOTHES, KITCHENWARE),
    "food or device": (FOOD, DEVICES),
}
"""A class is in one group at most, so the first task has animals and objects of no other task."""


def natural_tasks(half: Half, n: int) -> dict[str, Callable[[], Task]]:
    """Name → the task, of all data sets that are at hand; n images of CIFAR-10 in each."""
    tasks: dict[str, Callable[[], Task]] = {}
    if is_there(CIFAR10):
        tasks |= cifar_tasks(half, n)
    if is_there(PHOTOS):
        tasks |= {
            f"{name} ({PHOTOS.name})": partial(photo_task, name, groups, half)
            for name, groups in PHOTO_GROUPS.items()
        }
    return tasks


def cifar_tasks(half: Half, n: int) -> dict[str, Callable[[], Task]]:
    """Two pairs that share no class, then animals or vehicles among all five classes.

    The pairs are of the training images, the last task is of the test images.
    """
    classes = range(PARITY[half], len(CLASSES), 2)
    a, b, c, d, _ = classes
    vehicles = [x for x in classes if x in VEHICLES]
    animals = [x for x in classes if x not in VEHICLES]
    sets: dict[str, tuple[Part, list[int], list[int]]] = {
        f"{CLASSES[a]} or {CLASSES[b]}": ("train", [a], [b]),
        f"{CLASSES[c]} or {CLASSES[d]}": ("train", [c], [d]),
        "animal or vehicle": ("test", animals, vehicles),
    }
    return {
        f"{name} ({CIFAR10.name})": partial(cifar_task, name, groups, part, n)
        for name, (part, *groups) in sets.items()
    }


def cifar_task(name: str, groups: Sequence[Sequence[int]], part: Part, n: int) -> Task:
    """Two groups of CIFAR-10's classes, n images, as many of both groups."""
    classes = tuple(chain(*groups))
    images = getattr(cifar10(path_of(CIFAR10), classes), part)
    is_second = (images.labels >= len(groups[0])).astype(np.int32)
    chosen = first(Dataset(images.inputs, is_second, ("first", "second"), CIFAR10.name), n)
    return of_images(name, NATURAL, as_bytes(chosen.inputs), chosen.labels)


def photo_task(name: str, groups: Sequence[Sequence[int]], half: Half) -> Task:
    """Two groups of ImageNet's classes, a photo of each, as many of both groups, in random order.

    Raises:
      FileNotFoundError: there are not a thousand photos.
    """
    draw = np.random.default_rng(0)
    members = [
        draw.permutation([number for number in group if number % 2 == PARITY[half]])
        for group in groups
    ]
    size = min(map(len, members))
    order = draw.permutation(2 * size)
    numbers = np.concatenate([part[:size] for part in members])[order]
    labels = np.repeat(np.arange(2, dtype=np.int32), size)[order]
    images = list(photos(path_of(PHOTOS), numbers))
    return of_images(name, NATURAL, images, labels, hog_side=PHOTO_HOG_SIDE)
