"""`scans data anonymise`: nothing that identifies is left in files or messages; pictures stay as they are; others are refused."""

import json
import re

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit.device import volumes
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.errors import DataError
from cnnkit_scans.cli import main
from tests.device.volumes import files_of, series_of

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("dicomanonymizer", reason="needs dicom-anonymizer: pip install 'cnnkit[scans]'")

from pydicom.encaps import encapsulate, generate_frames  # noqa: E402

from cnnkit.inputs.volume import profile  # noqa: E402
from cnnkit.inputs.volume.anonymise import anonymise  # noqa: E402

SHAPE = (4, 6, 5)
PLACE = Geometry.of(files_of.affine((0.8, 0.9, 3.0), (-11, 7, 30), files_of.rotated())[:, [2, 1, 0, 3]], SHAPE)
STORED = np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.uint16)


def run(*words):
    """Run the command, and return its exit code and all that it said."""
    result = CliRunner().invoke(main, ["data", "anonymise", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


def outputs(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


class Plants:
    """Values that identify, each another one, and all of them remembered."""

    def __init__(self):
        self.values = []

    def _kept(self, value):
        self.values.append(value)
        return value

    def text(self):
        return self._kept(f"Zq{len(self.values):03d}xwv")

    def upper(self):
        return self._kept(f"ZQ{len(self.values):03d}XWV")

    def person(self):
        return f"{self.text()}^{self.text()}"

    def date(self):
        return self._kept(
            f"19{len(self.values) % 90 + 10}{len(self.values) % 12 + 1:02d}{len(self.values) % 28 + 1:02d}"
        )

    def uid(self):
        return self._kept(str(series_of.uid("planted", len(self.values))))

    def of(self, kind):
        if kind == "PN":
            return self.person()
        if kind == "UI":
            return self.uid()
        if kind == "DA":
            return self.date()
        if kind == "DT":
            return f"{self.date()}101112"
        if kind == "AE":
            return self.upper()
        return f"http://{self.text()}" if kind == "UR" else self.text()


# Attributes of the profile, some that it does not name, and some that it names and that hold things.
WORDS = """
PatientName PatientID OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress
PatientComments PatientTelephoneNumbers PatientBirthDate MilitaryRank BranchOfService Occupation EthnicGroup
PatientReligiousPreference MedicalRecordLocator IssuerOfPatientID InsurancePlanIdentification ResponsiblePerson
ResponsibleOrganization CountryOfResidence RegionOfResidence AdditionalPatientHistory Allergies MedicalAlerts
PatientState CurrentPatientLocation AccessionNumber StudyID StudyDescription SeriesDescription ProtocolName
ImageComments AcquisitionComments DerivationDescription ReferringPhysicianName ReferringPhysicianAddress
ReferringPhysicianTelephoneNumbers PhysiciansOfRecord ConsultingPhysicianName PerformingPhysicianName
NameOfPhysiciansReadingStudy OperatorsName RequestingPhysician RequestingService InstitutionName InstitutionAddress
InstitutionalDepartmentName StationName DeviceSerialNumber DeviceID DetectorID PlateID CassetteID GantryID GeneratorID
AdmissionID AdmittingDate ServiceEpisodeID ServiceEpisodeDescription VisitComments PatientInstitutionResidence
RequestedProcedureID RequestedProcedureDescription RequestedProcedureComments RequestedProcedureLocation
ReasonForStudy PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest OrderEnteredBy
OrderEntererLocation OrderCallbackPhoneNumber ScheduledStationAETitle ScheduledProcedureStepID
ScheduledPerformingPhysicianName PerformedStationAETitle PerformedStationName PerformedLocation
PerformedProcedureStepID PerformedProcedureStepStartDate PerformedProcedureStepDescription
CommentsOnThePerformedProcedureStep ContentCreatorName ContrastBolusAgent ClinicalTrialSponsorName
ClinicalTrialProtocolID ClinicalTrialSubjectID ClinicalTrialSiteName ClinicalTrialSiteID StudyDate SeriesDate
AcquisitionDate ContentDate InstanceCreationDate AcquisitionDateTime DateOfLastCalibration RetrieveAETitle
SourceApplicationEntityTitle ReceivingApplicationEntityTitle EvaluatorName CommentsOnTheScheduledProcedureStep
LocalNamespaceEntityID UniversalEntityID TextValue CalculationComment ProductDescription RetrieveURL ContactURI
InstanceCreatorUID DeviceUID IrradiationEventUID SynchronizationFrameOfReferenceUID TrackingUID TrackingID SpecimenUID
AcquisitionUID DimensionOrganizationUID ReasonForVisit InterpretationText ResultsComments ImpressionsTrial
StudyComments PositionReferenceIndicator
"""


def plant(ds, plants, words=WORDS):
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    for word in words.split():
        tag = tag_for_keyword(word)
        if tag is not None and tag >> 16 != 2:
            ds.add_new(tag, dictionary_VR(tag), plants.of(dictionary_VR(tag)))


def item(**attributes):
    ds = pydicom.Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def planted(plants):
    """A slice with identifiers wherever a file has room for them."""
    ds = series_of.dataset(STORED[0], PLACE, 0)
    ds.SpecificCharacterSet = "ISO_IR 192"
    plant(ds, plants)
    # Sequences, three deep, in those that the profile names and in those that it does not.
    deep = item(
        PatientName=plants.person(),
        PatientID=plants.text(),
        CodeMeaning="Brain",
        CodeValue="1",
        PatientBirthDate=plants.date(),
    )
    deep.ReferencedSOPInstanceUID, deep.ReferencedSOPClassUID = plants.uid(), series_of.CLASSES["CT"]
    middle = item(ReferencedSeriesSequence=[deep], SeriesInstanceUID=plants.uid(), StationName=plants.text())
    plant(
        middle,
        plants,
        "InstitutionName AccessionNumber OperatorsName ImageComments TextValue RetrieveURL",
    )
    ds.StudiesContainingOtherReferencedInstancesSequence = [
        item(ReferencedSeriesSequence=[middle], StudyInstanceUID=plants.uid(), PatientComments=plants.text())
    ]
    ds.RequestAttributesSequence = [item(RequestedProcedureID=plants.text(), ScheduledProcedureStepID=plants.text())]
    ds.OtherPatientIDsSequence = [item(PatientID=plants.text(), IssuerOfPatientID=plants.text())]
    ds.ReferencedStudySequence = [item(ReferencedSOPInstanceUID=plants.uid(), ReferencedSOPClassUID=plants.uid())]
    ds.ReferencedPatientSequence = [item(ReferencedSOPInstanceUID=plants.uid(), PatientName=plants.person())]
    ds.InstitutionCodeSequence = [item(CodeMeaning=plants.text(), CodeValue=plants.text())]
    ds.AcquisitionContextSequence = [item(TextValue=plants.text())]
    ds.DerivationCodeSequence = [item(CodeMeaning="Reformatted", CodeValue="113072", ContextUID=plants.uid())]
    # Private attributes: texts, sequences in sequences, values of an unknown kind; and some deep inside.
    for group in (0x0009, 0x0029, 0x7FE1):
        block = ds.private_block(group, f"MAKER {group:X}", create=True)
        block.add_new(1, "LO", plants.text())
        block.add_new(2, "PN", plants.person())
        block.add_new(3, "UN", plants.text().encode() + b" ")
        block.add_new(4, "OB", plants.text().encode("utf-16-le"))
        block.add_new(5, "SQ", [item(PatientName=plants.person(), PatientComments=plants.text())])
    private = deep.private_block(0x0019, plants.text(), create=True)
    private.add_new(1, "LO", plants.text())
    private.add_new(2, "SQ", [item(PatientID=plants.text())])
    # What the dictionary does not know, or knows as something else; what the profile forgets; what lies behind the pixels.
    ds.add_new(0x00080BFE, "LO", plants.text())
    ds.add_new(0x00180BFE, "UN", plants.text().encode() + b" ")
    ds.add_new(0x00180BFC, "SQ", [item(PatientName=plants.person())])
    ds.add_new(0x00189305, "LO", plants.text())  # RevolutionTime, a number of 8 bytes
    ds.add_new(0x60000022, "LO", plants.text())
    ds.add_new(0x60001500, "LO", plants.text())
    ds.add_new(0x60004000, "LT", plants.text())
    ds.add_new(0x60020010, "US", 8)
    ds.add_new(0x60023000, "OB", plants.text().encode() + b" ")
    ds.add_new(0x50000030, "SH", plants.text())
    ds.add_new(0x50003000, "OB", plants.text().encode() + b" ")
    ds.IconImageSequence = [item(PixelData=plants.text().encode() + b" ", Rows=1, Columns=8, BitsAllocated=8)]
    ds.DigitalSignaturesSequence = [item(CertificateOfSigner=plants.text().encode() + b" ")]
    ds.EncryptedAttributesSequence = [item(EncryptedContent=plants.text().encode() + b" ")]
    ds.BodyPartExamined = plants.text()  # no code has small letters
    ds.PixelData += plants.text().encode() + b" "
    ds.DataSetTrailingPadding = plants.text().encode() + b" "
    ds.SoftwareVersions = [ds.PatientID, "V1"]  # kept, but for what says who
    ds.file_meta.SourceApplicationEntityTitle = plants.upper()
    ds.file_meta.SendingApplicationEntityTitle = plants.upper()
    ds.file_meta.PrivateInformationCreatorUID = plants.uid()
    ds.file_meta.PrivateInformation = plants.text().encode() + b" "
    ds.preamble = plants.text().encode().ljust(128, b"\0")
    return ds


def assert_gone(values, content, where):
    low = content.lower()
    for value in values:
        for form in (value.lower().encode(), value.lower().encode("utf-16-le"), value.lower().encode("utf-16-be")):
            assert form not in low, f"{value} is in {where}"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_none_of_200_planted_identifiers_is_left_in_any_file_or_message(tmp_path, syntax):
    plants = Plants()
    ds = planted(plants)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    source = tmp_path / plants.text() / f"{plants.text()}_{plants.text()}"
    series_of.save(ds, source / f"{plants.text()}.dcm")
    others = [series_of.dataset(STORED[k], PLACE, k, more={"PatientID": ds.PatientID}) for k in range(1, len(STORED))]
    for k, other in enumerate(others):
        other.StudyInstanceUID, other.SeriesInstanceUID = ds.StudyInstanceUID, ds.SeriesInstanceUID
        series_of.save(other, source / f"{plants.text()}{k}.dcm")
    assert len(plants.values) >= 200
    secret = [*plants.values, *series_of.WHO[0].split("^"), *series_of.WHO[1:], ds.SOPInstanceUID, ds.StudyInstanceUID]
    secret += [ds.SeriesInstanceUID, ds.FrameOfReferenceUID, "20200102"]
    if syntax.endswith("1.2"):  # in which a file does not say what is text: these bytes are a number
        secret.remove(ds[0x00189305].value)
    raw = b"".join(path.read_bytes() for path in outputs(tmp_path))
    if not syntax.endswith("99"):
        assert sum(value.encode() in raw for value in plants.values) > 180

    for words in ([], ["--json"]):
        out = tmp_path / ("json" if words else "out")
        code, said = run(source, out, *words)
        assert code == 0, said
        assert_gone(secret, said.encode(), "the messages")
        assert len(outputs(out)) == len(STORED)
        for path in outputs(out):
            assert_gone(secret, path.relative_to(out).as_posix().encode(), "a name")
            assert_gone(secret, path.read_bytes(), "a file")
            assert re.fullmatch(r"case_0001/study_01/series_01/000\d\.dcm", path.relative_to(out).as_posix())
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
        read = [pydicom.dcmread(path) for path in outputs(out)]
        assert all(each.PatientID == "case_0001" and each.PatientIdentityRemoved == "YES" for each in read)
        assert all(each.StudyDate == "00010101" for each in read)


def test_of_all_attributes_of_the_standard_only_a_short_list_keeps_its_text(tmp_path):
    from pydicom.datadict import DicomDictionary

    skipped = {
        "SOPClassUID",
        "ReferencedSOPClassUID",
        "SOPInstanceUID",
        "Modality",
        "PhotometricInterpretation",
        "ConversionType",
    }
    skipped |= {"SpecificCharacterSet", "ImageType", "BurnedInAnnotation"}
    plants, where = Plants(), {}
    ds, nested = series_of.dataset(STORED[0], PLACE, 0), item()
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 in (0, 2, 4, 0x7FE0, 0xFFFA, 0xFFFE) or not keyword or keyword in skipped:
            continue
        for into in (ds, nested):
            if kind in {*profile.TEXT, "DA", "DT", "UI"}:
                into.add_new(tag, kind, plants.of(kind))
            elif kind in ("OB", "OW", "UN", "OB or OW"):
                into.add_new(tag, kind[:2], plants.text().encode() + b" ")
            else:
                continue
            where[plants.values[-1]] = keyword
    ds.StudiesContainingOtherReferencedInstancesSequence = [nested]
    series_of.save(ds, tmp_path / "in/a.dcm")
    anonymise(tmp_path / "in", tmp_path / "out")
    content = outputs(tmp_path / "out")[0].read_bytes()
    left = {where[value] for value in plants.values if value.encode() in content}
    assert len(plants.values) > 2000 and left == (profile.KEPT_TEXT | profile.KEPT_BYTES) & set(where.values())
    assert left < {*profile.KEPT_TEXT, "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData"} | {
        "BluePaletteColorLookupTableData",
        "LUTData",
    }


# The volume stays as it is ---------------------------------------------------------------------------------------------


def series(folder, **how):
    return series_of.write(folder, STORED, PLACE, **how)


def test_pixels_and_geometry_are_the_same_bit_for_bit(tmp_path):
    source = series(tmp_path / "in", slope=1.5, intercept=-1024)
    anonymise(source, tmp_path / "out")
    before = volumes.read_volume(source)
    after = volumes.read_volume(tmp_path / "out/case_0001/study_01/series_01")
    assert after.array.dtype == before.array.dtype and after.array.tobytes() == before.array.tobytes()
    np.testing.assert_array_equal(after.geometry.matrix, before.geometry.matrix)
    assert after.facts["modality"] == "CT" and after.facts["oriented"]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"])  # big endian, run lengths
def test_other_ways_to_store_pixels_are_kept(tmp_path, syntax):
    source = tmp_path / "in"
    for k in range(len(STORED)):
        ds = series_of.dataset(STORED[k], PLACE, k)
        if syntax.endswith("5"):
            ds.compress(syntax)
        else:
            ds.PixelData = STORED[k].astype(">u2").tobytes()
            ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        series_of.save(ds, source / f"{k}.dcm")
    anonymise(source, tmp_path / "out")
    (folder,) = (tmp_path / "out/case_0001/study_01").iterdir()
    np.testing.assert_array_equal(volumes.read_volume(folder).array[..., 0], STORED)
    assert all(pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax for path in folder.iterdir())


def test_a_file_of_frames_stays_a_volume(tmp_path):
    places = [2, 0, 3, 1]
    ds = series_of.enhanced(STORED, PLACE, places, slopes=[1, 2, 1, 1])
    ds.PerFrameFunctionalGroupsSequence[1].FrameContentSequence = [
        item(FrameComments="Jane Doe", FrameAcquisitionDateTime="20200102101112", FrameLabel="Doe")
    ]
    source = tmp_path / "in"
    series_of.save(ds, source / "one.dcm")
    anonymise(source, tmp_path / "out")
    (path,) = outputs(tmp_path / "out")
    before, after = volumes.read_volume(source), volumes.read_volume(path)
    assert after.array.tobytes() == before.array.tobytes()
    np.testing.assert_array_equal(after.geometry.matrix, before.geometry.matrix)
    assert_gone(["Doe", "Jane", "20200102"], path.read_bytes(), "the file")


def test_a_seg_and_a_structure_set_still_lie_on_their_series(tmp_path):
    pytest.importorskip("highdicom")
    source = series(tmp_path / "in/scan")
    codes = np.zeros(SHAPE, np.uint8)
    codes[1:3, 1:4, 2:4] = 1
    path = tmp_path / "in/seg/a.dcm"
    path.parent.mkdir()
    volumes.write_labels(path, codes, PLACE, {"lesion": 1}, source=source)
    first = pydicom.dcmread(sorted(source.iterdir())[0])
    contour = item(
        ContourImageSequence=[
            item(ReferencedSOPClassUID=first.SOPClassUID, ReferencedSOPInstanceUID=first.SOPInstanceUID)
        ]
    )
    contour.ContourGeometricType, contour.NumberOfContourPoints, contour.ContourData = "POINT", 1, [1, 2, 3]
    structures = series_of.dataset(STORED[0], None, 0, series="structures")
    del structures.PixelData
    structures.SOPClassUID = structures.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    structures.Modality = "RTSTRUCT"
    structures.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=first.FrameOfReferenceUID)]
    structures.ROIContourSequence = [item(ContourSequence=[contour], ReferencedROINumber=1)]
    series_of.save(structures, tmp_path / "in/structures.dcm")

    anonymise(tmp_path / "in", tmp_path / "out")
    read = {path: pydicom.dcmread(path) for path in outputs(tmp_path / "out")}
    (seg,) = (path for path, ds in read.items() if ds.Modality == "SEG")
    (drawn,) = (ds for ds in read.values() if ds.Modality == "RTSTRUCT")
    slices = {path: ds for path, ds in read.items() if ds.Modality == "CT"}
    (folder,) = {path.parent for path in slices}
    for like in ({"like": volumes.read_volume(folder).geometry}, {"source": folder}):
        found, labels = volumes.read_labels(seg, **like)
        assert labels == {"lesion": (1,)}
        np.testing.assert_array_equal(found, codes)
    uids = {ds.SOPInstanceUID for ds in slices.values()}
    (frames,) = {ds.FrameOfReferenceUID for ds in slices.values()}
    assert {
        one.ReferencedSOPInstanceUID for one in read[seg].ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } <= uids
    assert read[seg].FrameOfReferenceUID == drawn.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == frames
    shown = drawn.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0]
    assert shown.ReferencedSOPInstanceUID in uids and shown.ReferencedSOPClassUID == first.SOPClassUID
    assert len({ds.StudyInstanceUID for ds in read.values()}) == 1
    volumes.write_labels(tmp_path / "new.dcm", codes, PLACE, {"lesion": 1}, source=folder)


def test_comments_in_packed_pixels_are_blanked_and_nothing_moves(tmp_path):
    picture = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    streams = {"50": cv2.imencode(".jpg", picture)[1].tobytes(), "91": cv2.imencode(".jp2", picture)[1].tobytes()}
    streams["91"] = streams["91"][streams["91"].index(b"\xff\x4f\xff\x51") :]
    for k, (name, stream) in enumerate(streams.items()):
        text = b"Jane Doe, PID4711, Zq999xwv"
        marker = b"\xff\xfe" if name == "50" else b"\xff\x64"
        note = marker + (len(text) + 4).to_bytes(2, "big") + b"\0\1" + text
        start = 2 if name == "50" else 4 + int.from_bytes(stream[4:6], "big")  # behind what must come first
        ds = series_of.dataset(picture, PLACE, k)
        ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(f"1.2.840.10008.1.2.4.{name}")
        ds.PixelData = encapsulate([stream[:start] + note + stream[start:]])
        series_of.save(ds, tmp_path / name / "a.dcm")
        anonymise(tmp_path / name, tmp_path / f"out-{name}")
        (path,) = outputs(tmp_path / f"out-{name}")
        assert_gone(["Doe", "PID4711", "Zq999xwv"], path.read_bytes(), "packed pixels")
        before, after = (
            np.frombuffer(next(generate_frames(one, number_of_frames=1)), np.uint8)
            for one in (ds.PixelData, pydicom.dcmread(path).PixelData)
        )
        assert len(before) == len(after)
        np.testing.assert_array_equal(cv2.imdecode(before, -1), cv2.imdecode(after, -1))


def test_names_in_other_writing_vanish_too(tmp_path):
    who = {
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "InstitutionName": "Universitätsklinik Tübingen",
        "PatientID": "ПАЦИЕНТ-12",
    }
    ds = series_of.dataset(STORED[0], PLACE, 0)
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in who.items():
        setattr(ds, keyword, value)
    ds.SoftwareVersions = ["V1 山田", "ПАЦИЕНТ-12", "ä"]
    series_of.save(ds, tmp_path / "in/a.dcm")
    anonymise(tmp_path / "in", tmp_path / "out")
    (path,) = outputs(tmp_path / "out")
    assert_gone(["山田", "太郎", "やまだ", "Yamada", "Tübingen", "ПАЦИЕНТ"], path.read_bytes(), "the file")


# Studies and patients --------------------------------------------------------------------------------------------------


def test_each_study_has_uids_of_its_own_and_patients_are_kept_apart(tmp_path):
    same = series_of.uid("shared")
    for name, patient, study in (("a", "P1-4711", 1), ("b", "P1-4711", 2), ("c", "P2-4711", 3)):
        more = {"PatientID": patient, "StudyInstanceUID": series_of.uid("study", study), "FrameOfReferenceUID": same}
        series(tmp_path / "in" / name, series=name, more=more)
    found = anonymise(tmp_path / "in", tmp_path / "out").document
    assert (found["files"], found["studies"], len(found["cases"])) == (12, 3, 2)
    assert sorted(row["studies"] for row in found["cases"]) == [1, 2]
    read = [(path, pydicom.dcmread(path)) for path in outputs(tmp_path / "out")]
    assert all(path.relative_to(tmp_path / "out").parts[0] == ds.PatientID for path, ds in read)
    assert len({ds.PatientID for _, ds in read}) == 2
    assert len({ds.StudyInstanceUID for _, ds in read}) == len({ds.FrameOfReferenceUID for _, ds in read}) == 3
    assert len({ds.SOPInstanceUID for _, ds in read}) == 12

    again = anonymise(tmp_path / "in", tmp_path / "again").document
    assert again["files"] == 12
    new = {pydicom.dcmread(path).SOPInstanceUID for path in outputs(tmp_path / "again")}
    assert not new & {ds.SOPInstanceUID for _, ds in read}  # of chance: nothing that could be computed
    from dicomanonymizer.simpledicomanonymizer import dictionary

    assert not dictionary  # and nothing that could be read


def test_what_was_anonymised_can_be_so_again(tmp_path):
    anonymise(series(tmp_path / "in"), tmp_path / "out")
    anonymise(tmp_path / "out", tmp_path / "again")
    before, after = (volumes.read_volume(tmp_path / name / "case_0001/study_01/series_01") for name in ("out", "again"))
    np.testing.assert_array_equal(after.array, before.array)


# What is refused -------------------------------------------------------------------------------------------------------

CLASS = "1.2.840.10008.5.1.4.1.1."
REFUSED = {
    "burned": ({"BurnedInAnnotation": "YES"}, "text burned into its pixels"),
    "unclear": ({"BurnedInAnnotation": "MAYBE"}, "text burned into its pixels"),
    "ultrasound": ({"SOPClassUID": CLASS + "6.1"}, "an ultrasound picture"),
    "ultrasound by word": ({"Modality": "US"}, "an ultrasound picture"),
    "capture": ({"SOPClassUID": CLASS + "7"}, "a secondary capture"),
    "capture in colours": ({"SOPClassUID": CLASS + "7.4"}, "a secondary capture"),
    "capture in disguise": ({"ConversionType": "WSD"}, "a secondary capture"),
    "screen": ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a picture of a screen or of a table"),
    "report": ({"SOPClassUID": CLASS + "88.33"}, r"no picture that this can clear \(Comprehensive SR Storage\)"),
    "pdf": ({"SOPClassUID": CLASS + "104.1"}, r"no picture that this can clear \(Encapsulated PDF Storage\)"),
    "state": ({"SOPClassUID": CLASS + "11.1"}, "no picture that this can clear"),
    "own": ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, r"of a kind of its maker"),
    "x-ray": ({"SOPClassUID": CLASS + "1"}, "does not say that it is free of burned-in text"),
    "no class": ({"SOPClassUID": ""}, "without a head that says what it is"),
    "overlay": ({"OverlayHidden": 1}, "an overlay drawn into the spare bits"),
}


def with_one(folder, more):
    """A series with one file that is not as it should be, `zzz.dcm`."""
    series(folder)
    hidden = more.pop("OverlayHidden", None)
    ds = series_of.dataset(STORED[0], PLACE, 0, key="bad", more=more)
    if hidden:
        ds.add_new(0x60000010, "US", 6)
    if ds.SOPClassUID:
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    series_of.save(ds, folder / "Doe_Jane.zzz.dcm")
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rule_can_clear_is_refused_in_a_line_and_nothing_is_written(tmp_path, name):
    more, what = REFUSED[name]
    source = with_one(tmp_path / "in", dict(more))
    code, said = run(source, tmp_path / "out")
    line = said.strip().splitlines()[-1]
    assert code == 1 and re.search(what, line) and line.startswith("Error: File 5 of 5"), said
    assert "Nothing was written" in line and "--skip-bad" in line and "Doe" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]

    code, said = run(source, tmp_path / "out", "--skip-bad")
    assert code == 0 and len(outputs(tmp_path / "out")) == len(STORED) and "Left out, 1 file" in said, said
    assert "Doe_Jane" in run(source, tmp_path / "other", "--names")[1]


def test_a_dicomdir_is_refused(tmp_path):
    source = series(tmp_path / "in")
    (source / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"Doe^Jane")
    code, said = run(source, tmp_path / "out")
    assert code == 1 and "is a DICOMDIR, a list of the other files with their patients" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["cut", "text"])
def test_damaged_files_are_refused_without_their_words(tmp_path, where):
    source = series(tmp_path / "in")
    content = sorted(source.iterdir())[0].read_bytes()
    (source / "zDoe.dcm").write_bytes(content[: len(content) // 2] if where == "cut" else b"Doe^Jane\n" * 40)
    code, said = run(source, tmp_path / "out")
    assert code == 1 and "Doe" not in said and said.strip().count("Error:") == 1 and "Traceback" not in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_other_files_are_left_out_and_said(tmp_path):
    source = series(tmp_path / "in")
    (source / "Jane_Doe.txt").write_text("Jane Doe")
    code, said = run(source, tmp_path / "out")
    assert code == 0 and "Left out, 1 file: no DICOM." in said and "Doe" not in said
    assert len(outputs(tmp_path / "out")) == len(STORED)


def test_folders_that_cannot_be_are_refused(tmp_path):
    source = series(tmp_path / "in")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    link = tmp_path / "link"
    link.symlink_to(full)
    before = outputs(tmp_path)
    for given, what in (
        ((source, source / "out"), "lie in one another"),
        ((source, source), "lie in one another"),
        ((source, tmp_path), "lie in one another"),
        ((source, full), "not empty"),
        ((source, full / "mine.txt"), "not empty"),
        ((source, link), "OUT is a link"),
        ((tmp_path / "nowhere", tmp_path / "out"), "IN is not a folder"),
        ((full, tmp_path / "out"), "none is DICOM"),
    ):
        code, said = run(*given)
        assert code == 1 and what in said and len(said.strip().splitlines()) == 1, said
    assert outputs(tmp_path) == before
    (source / "elsewhere.dcm").symlink_to(full / "mine.txt")
    code, said = run(source, tmp_path / "out")
    assert code == 1 and "IN holds a link" in said
    (source / "elsewhere.dcm").unlink()
    assert run(source, tmp_path / "empty")[0] == 0 and len(outputs(tmp_path / "empty")) == len(STORED)


def test_it_says_what_it_cannot_see(tmp_path):
    source = series(tmp_path / "in")
    code, said = run(source, tmp_path / "out", "--json")
    assert code == 0
    assert "Faces remain" in said and "Not said of 4 files whether text is burned in" in said
    found = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert found["tables"] == "2026c" and found["files"] == 4 and found["replaced"] > 0
    assert found["cases"] == [
        {
            "case": "case_0001",
            "studies": 1,
            "series": 1,
            "files": 4,
            "removed": found["removed"],
            "replaced": found["replaced"],
        }
    ]


# The search after it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("ImageComments", "of Jane DOE", r"PatientName \(0010,0010\), in ImageComments \(0020,4000\)"),
        ("ImageComments", "pid4711", r"PatientID \(0010,0020\), in ImageComments"),
        ("StudyDate", "19700203", r"StudyDate \(0008,0020\), in StudyDate"),
        ("DeviceUID", "1.2.826.0.1.3680043.8.498.4711", r"DeviceUID \(0018,1002\), in DeviceUID"),
        ("StudyDescription", "a rare disease", r"StudyDescription \(0008,1030\), in StudyDescription"),
        ("SeriesDescription", "PID4711".encode("utf-16-le").decode("latin-1"), r"\w+ \("),
    ],
)
def test_a_fault_of_the_library_is_caught_and_nothing_is_written(tmp_path, monkeypatch, keyword, value, said):
    source = series(tmp_path / "in", more={keyword: value})
    apply = profile.apply

    def faulty(dataset, *how):
        kept = dataset[keyword].value
        counts = apply(dataset, *how)
        setattr(dataset, keyword, kept)
        return counts

    monkeypatch.setattr(profile, "apply", faulty)
    with pytest.raises(DataError, match=f"would still say {said}") as caught:
        anonymise(source, tmp_path / "out")
    assert value not in str(caught.value) and "Nothing was written" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_private_attribute_that_was_left_is_caught(tmp_path, monkeypatch):
    source = series(tmp_path / "in")
    apply = profile.apply

    def faulty(dataset, *how):
        counts = apply(dataset, *how)
        dataset.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "x")
        return counts

    monkeypatch.setattr(profile, "apply", faulty)
    with pytest.raises(DataError, match=r"would still say a private attribute, \(0009,0010\)\. Nothing was written"):
        anonymise(source, tmp_path / "out")


def test_common_words_and_numbers_are_no_alarm(tmp_path):
    more = {
        "PatientName": "Head^Axial",
        "PatientID": "1",
        "InstitutionName": "Tests",
        "StationName": "CT",
        "AccessionNumber": "0",
    }
    more |= {
        "SeriesDescription": "LOCALIZER HEAD",
        "ProtocolName": "ORIGINAL",
        "ReferringPhysicianName": "Li^X",
        "PatientSex": "M",
    }
    more |= {"Manufacturer": "Siemens Healthineers", "OperatorsName": "Siemens", "SequenceName": "tests-seq"}
    source = series(tmp_path / "in", more=more)
    anonymise(source, tmp_path / "out")
    read = pydicom.dcmread(outputs(tmp_path / "out")[0])
    assert read.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert read.Manufacturer == "ANONYMIZED"  # as it names the operator


@pytest.mark.parametrize("keyword", ["TextValue", "SecondaryReviewDate", "TrackingUID", "PatientAge"])
def test_what_should_be_gone_is_caught_whatever_it_says(tmp_path, monkeypatch, keyword):
    value = {"TrackingUID": "2.25.4711", "SecondaryReviewDate": "20240101", "PatientAge": "044Y"}.get(keyword, "new")
    apply = profile.apply

    def faulty(dataset, *how):
        counts = apply(dataset, *how)
        setattr(dataset, keyword, value)
        return counts

    monkeypatch.setattr(profile, "apply", faulty)
    with pytest.raises(DataError, match=rf"would still say {keyword} \(\w+,\w+\), which should be gone\. Nothing"):
        anonymise(series(tmp_path / "in"), tmp_path / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_run_that_ends_half_way_leaves_nothing(tmp_path, monkeypatch, error):
    save = pydicom.Dataset.save_as
    source = series(tmp_path / "in")

    def stopping(self, path, **how):
        save(self, path, **how)
        if path.name == "0003.dcm":
            raise error

    monkeypatch.setattr(pydicom.Dataset, "save_as", stopping)
    code, said = run(source, tmp_path / "out")
    assert code != 0 and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    from dicomanonymizer.simpledicomanonymizer import dictionary

    assert not dictionary


def test_who_is_called_as_what_we_write_is_no_alarm(tmp_path):
    more = {
        "PatientName": "Case^Profile",
        "PatientID": "cnnkit",
        "OtherPatientIDs": "dicom-anonymizer",
        "StudyID": "tables",
    }
    anonymise(series(tmp_path / "in", more=more), tmp_path / "out")
    read = pydicom.dcmread(outputs(tmp_path / "out")[0])
    assert (
        read.PatientID == "case_0001"
        and str(read.PatientName) == ""
        and read.DeidentificationMethod[0].startswith("cnnkit ")
    )


def test_what_is_kept_is_blanked_where_it_names_somebody(tmp_path):
    more = {
        "BodyPartExamined": "DOE",
        "ImageType": ["ORIGINAL", "PRIMARY", "JANE"],
        "ManufacturerModelName": "of PID4711",
    }
    more |= {"SoftwareVersions": ["built 20200102", str(series_of.uid("study")), "V2"]}
    anonymise(series(tmp_path / "in", more=more), tmp_path / "out")
    read = pydicom.dcmread(outputs(tmp_path / "out")[0])
    assert read.BodyPartExamined == read.ManufacturerModelName == read.SoftwareVersions == "ANONYMIZED"
    assert read.ImageType == ["ORIGINAL", "PRIMARY", "ANONYMIZED"]


def test_without_the_package_a_line_says_what_to_install(tmp_path, monkeypatch):
    find = profile.importlib.util.find_spec
    monkeypatch.setattr(
        profile.importlib.util, "find_spec", lambda name: None if name == "dicomanonymizer" else find(name)
    )
    code, said = run(series(tmp_path / "in"), tmp_path / "out")
    assert code == 1 and said.strip() == (
        'Error: Anonymising needs dicom-anonymizer, which is not installed: pip install "cnnkit[scans]".'
    )
