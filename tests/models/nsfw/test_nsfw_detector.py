import quorum.models.nsfw.detector as module
from quorum.core.settings import MediaAccess
from quorum.models.features.extract import Extractor
from quorum.models.nsfw.detector import DISPUTED, NsfwDetector
from tests.contract.detector import DetectorContract


class TestNsfw(DetectorContract):
    detector = NsfwDetector
    folders = (str(module._CLIPS),)

    def test_the_evidence_names_the_seconds(self, made, examples):
        finding = made.score(examples)[0]
        seconds, told = finding.evidence
        assert (told.field, told.weight) == ("seen", 1.0)
        # The shapes are visible from 2 s to 4 s; smoothing may lose a frame at either end.
        assert 1.7 <= seconds.start <= 2.3
        assert 3.7 <= seconds.end <= 4.3
        # The shapes deceive one network of two.
        assert seconds.what == "explicit picture to one network of two"
        assert seconds.weight == round(finding.labels[DISPUTED], 4)
        assert finding.score == 0.79 < finding.labels[DISPUTED]

    def test_media_that_cannot_be_read_fails(self, made):
        (upload,) = [one.upload for one in made.examples() if one.upload.id == "nsfw-none"]
        refused = Extractor(made.needs, MediaAccess()).extract([upload])
        (finding,) = made.score(refused)
        assert finding.status == "failed"
        assert "media.folders" in finding.reason
