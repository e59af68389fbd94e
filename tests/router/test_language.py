"""The language of a prompt: right or silent, whatever is pasted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workspace.router import language as languages
from workspace.router.language import READ, language

# Three of the questions people ask first, of our own writing.
PROMPTS = {
    "en": (
        "How do I change the oil in my car without making a mess?",
        "Write a short poem about the sea and the moon.",
        "What is the capital of Australia?",
    ),
    "de": (
        "Wie wechsle ich das Öl in meinem Auto, ohne alles schmutzig zu machen?",
        "Schreibe ein kurzes Gedicht über das Meer.",
        "Was ist die Hauptstadt von Australien?",
    ),
    "fr": (
        "Comment changer l'huile de ma voiture sans tout salir ?",
        "Écris un court poème sur la mer et la lune.",
        "Quelle est la capitale de l'Australie ?",
    ),
    "es": (
        "¿Cómo cambio el aceite de mi coche sin ensuciarlo todo?",
        "Escribe un poema corto sobre el mar y la luna.",
        "¿Cuál es la capital de Australia?",
    ),
    "it": (
        "Come cambio l'olio della macchina senza sporcare tutto?",
        "Scrivi una breve poesia sul mare e sulla luna.",
        "Qual è la capitale dell'Australia?",
    ),
    "pt": (
        "Como troco o óleo do meu carro sem sujar tudo?",
        "Escreva um poema curto sobre o mar e a lua.",
        "Qual é a capital da Austrália?",
    ),
    "nl": (
        "Hoe ververs ik de olie van mijn auto zonder te knoeien?",
        "Schrijf een kort gedicht over de zee en de maan.",
        "Wat is de hoofdstad van Australië?",
    ),
    "pl": (
        "Jak wymienić olej w samochodzie, żeby nic nie pobrudzić?",
        "Napisz krótki wiersz o morzu i księżycu.",
        "Jaka jest stolica Australii?",
    ),
    "cs": (
        "Jak vyměním olej v autě, aniž bych všechno zašpinil?",
        "Napiš krátkou báseň o moři a měsíci.",
        "Jaké je hlavní město Austrálie?",
    ),
    "sv": (
        "Hur byter jag olja i bilen utan att kladda ner?",
        "Skriv en kort dikt om havet och månen.",
        "Vad heter Australiens huvudstad?",
    ),
    "da": (
        "Hvordan skifter jeg olie på min bil uden at svine?",
        "Skriv et kort digt om havet og månen.",
        "Hvad er hovedstaden i Australien?",
    ),
    "fi": (
        "Miten vaihdan auton öljyt sotkematta?",
        "Kirjoita lyhyt runo merestä ja kuusta.",
        "Mikä on Australian pääkaupunki?",
    ),
    "tr": (
        "Arabamın yağını etrafı kirletmeden nasıl değiştiririm?",
        "Deniz ve ay hakkında kısa bir şiir yaz.",
        "Avustralya'nın başkenti neresidir?",
    ),
    "hu": (
        "Hogyan cseréljek olajat az autómban anélkül, hogy mindent összekennék?",
        "Írj egy rövid verset a tengerről és a holdról.",
        "Mi Ausztrália fővárosa?",
    ),
    "ro": (
        "Cum schimb uleiul la mașină fără să murdăresc totul?",
        "Scrie o poezie scurtă despre mare și lună.",
        "Care este capitala Australiei?",
    ),
    "id": (
        "Bagaimana cara mengganti oli mobil tanpa membuat kotor?",
        "Tulislah puisi pendek tentang laut dan bulan.",
        "Apa ibu kota Australia?",
    ),
    "vi": (
        "Làm thế nào để thay dầu xe mà không làm bẩn?",
        "Viết một bài thơ ngắn về biển và mặt trăng.",
        "Thủ đô của Úc là gì?",
    ),
    "ru": (
        "Как поменять масло в машине и ничего не испачкать?",
        "Напиши короткое стихотворение о море и луне.",
        "Как называется столица Австралии?",
    ),
    "uk": (
        "Як поміняти оливу в автомобілі й нічого не забруднити?",
        "Напиши короткий вірш про море та місяць.",
        "Яке місто є столицею Австралії?",
    ),
    "bg": (
        "Как да сменя маслото на колата, без да изцапам всичко?",
        "Напиши кратко стихотворение за морето и луната.",
        "Коя е столицата на Австралия?",
    ),
    "el": (
        "Πώς αλλάζω τα λάδια στο αυτοκίνητό μου χωρίς να λερώσω;",
        "Γράψε ένα σύντομο ποίημα για τη θάλασσα.",
        "Ποια είναι η πρωτεύουσα της Αυστραλίας;",
    ),
    "ar": (
        "كيف أغير زيت سيارتي دون أن أوسخ المكان؟",
        "اكتب قصيدة قصيرة عن البحر والقمر.",
        "ما هي عاصمة أستراليا؟",
    ),
    "fa": (
        "چگونه روغن ماشینم را بدون کثیف کاری عوض کنم؟",
        "یک شعر کوتاه درباره دریا و ماه بنویس.",
        "پایتخت استرالیا کجاست؟",
    ),
    "he": (
        "איך מחליפים שמן ברכב בלי ללכלך?",
        "כתוב שיר קצר על הים והירח.",
        "מהי בירת אוסטרליה?",
    ),
    "hi": (
        "मैं अपनी कार का तेल बिना गंदगी किए कैसे बदलूँ?",
        "समुद्र और चाँद पर एक छोटी कविता लिखो।",
        "ऑस्ट्रेलिया की राजधानी क्या है?",
    ),
    "ja": (
        "車のオイルを汚さずに交換するにはどうすればいいですか？",
        "海と月についての短い詩を書いてください。",
        "オーストラリアの首都はどこですか？",
    ),
    "zh": (
        "怎样给汽车换机油而不弄脏周围？",
        "写一首关于大海和月亮的短诗。",
        "澳大利亚的首都是哪里？",
    ),
    "ko": (
        "차를 더럽히지 않고 엔진 오일을 교환하려면 어떻게 해야 하나요?",
        "바다와 달에 대한 짧은 시를 써 주세요.",
        "호주의 수도는 어디인가요?",
    ),
    "th": (
        "ฉันจะเปลี่ยนน้ำมันเครื่องรถโดยไม่ให้เลอะเทอะได้อย่างไร",
        "เขียนบทกวีสั้น ๆ เกี่ยวกับทะเลและพระจันทร์",
        "เมืองหลวงของออสเตรเลียคืออะไร",
    ),
}


@pytest.mark.parametrize("code", PROMPTS)
def test_a_question_is_known_by_its_language(code: str) -> None:
    told = [language(prompt) for prompt in PROMPTS[code]]
    assert set(told) <= {code, ""}, "a wrong language is worse than none"
    assert told.count(code) >= 2


@pytest.mark.parametrize(
    "prompt",
    ["", " ", "ok", "hi there", "thanks!", "12345 + 678", "😀😀😀", "Привет", "SELECT * FROM users WHERE id=3;",
     "https://example.com/pages/are/written/in/english", "```for item in items: print(item)```",
     "lkjasdf lkjasdf lkjqwer poiuqwer", "\x00\x01\x02", "\ud800 broken"],
)  # fmt: skip
def test_what_says_too_little_is_no_language(prompt: str) -> None:
    assert language(prompt) == ""


@pytest.mark.parametrize(
    ("prompt", "code"), [("你好", "zh"), ("安いです", "ja"), ("안녕", "ko"), ("γεια", "el"), ("สวัสดี", "th")]
)
def test_a_short_prompt_is_known_by_its_script(prompt: str, code: str) -> None:
    assert language(prompt) == code


def test_code_does_not_speak_for_the_question_around_it() -> None:
    code = (
        "```python\nfor number in numbers:\n    if number is not None:\n        return the_first_of_them(number)\n```"
    )
    assert language(f"Was macht dieses Programm, und warum ist es so langsam? {code}") == "de"


def test_a_pasted_book_is_read_at_its_beginning() -> None:
    assert language("Was steht in diesem Buch geschrieben? " * 100 + "The quick brown fox. " * 20_000) == "de"
    assert language("?" * READ + "The quick brown fox jumps over the lazy dog.") == ""


def test_only_the_first_use_loads_the_model() -> None:
    """A process that asks for no language pays nothing: neither the library nor numpy is there."""
    code = (
        "import sys; from workspace.router import language as it; it.language('こんにちは'); "
        "print(it.loaded(), 'py3langid' in sys.modules, 'numpy' in sys.modules); it.load(); print(it.loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == ["False", "False", "False", "True"]


def test_a_model_loaded_ahead_is_the_one_that_answers() -> None:
    languages.load()
    assert languages.loaded()
    assert language("Where are the documents kept?") == "en"
