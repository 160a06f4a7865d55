import pytest

from export.web import benchmark_mobilenet, build, serve, train


@pytest.mark.parametrize("script", [benchmark_mobilenet, build, serve, train])
def test_a_word_that_is_no_flag_is_refused(script):
    with pytest.raises(SystemExit, match="Unexpected 'dist': every setting is a flag"):
        script.main([script.__name__, "dist"])
