"""What scams say, and what looks like it and is none: the detector's whole training data."""

SCAM = (
    "send one bitcoin to this address and you get two back today",
    "i doubled my money in a week with this trader, write to him on whatsapp",
    "guaranteed profit every day, no risk, invest now before it closes",
    "congratulations you won a prize, pay the delivery fee to claim it",
    "your account will be suspended, confirm your password at this link",
    "this doctor cured my herpes with herbs, contact him by email",
    "work from home and earn 5000 a month, just pay a small registration fee",
    "elon is giving away crypto live right now, scan the code",
    "a powerful spell caster brought my husband back, message him",
    "free gift cards, enter your card number to verify that you are human",
    "recover your stolen crypto, this hacker got all my funds back",
    "i am a widow with an inheritance and need your bank account to transfer it",
)
HONEST = (
    "how to spot a scam before you lose money",
    "bitcoin explained in ten minutes",
    "my honest review of this broker after two years",
    "we talk about investing for beginners and index funds",
    "unboxing the prize i won at the fair",
    "how i set a strong password for my accounts",
    "a doctor explains how vaccines work",
    "a day in my life working from home",
    "news about crypto prices this week",
    "subscribe for more music every friday",
    "thank you all for your support, see you in the next video",
    "a walk through the old town at night",
)
