-- Also the submits that their operator refused and may report on all the same. They are looked for by the end of the recipient's number.
ALTER TABLE lost_submits
  ADD KEY by_phone_end ((RIGHT(phone, 7)));
