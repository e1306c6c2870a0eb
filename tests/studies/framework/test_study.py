import pytest

from jaxalign.studies.framework.catalogue import STUDIES, study


def test_a_study_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        ValueError, match=r"there is no study 'emergency'; studies are emergence, depth, .*, demo"
    ):
        study("emergency")
    with pytest.raises(ValueError, match="there is no study 'run'"):  # a module, and no study
        study("run")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_catalogue_is_complete(name):
    found = study(name)
    assert found.name == name
    assert set(found.sizes) == {"small", "medium", "paper"}
    assert found.claim.endswith(".")
    assert found.source
    assert found.comparison
    for config in found.sizes.values():
        cells = found.cells(config)
        assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells) > 0
